//! What a dump of a tree would refuse or lose, found by the code that recognises it in a dump, but of tasks that run:
//! nothing is stopped and nothing is asked of them. What only a stopped task shows is listed in [`UNSEEN`].

use super::freeze::{self, Outline};
use super::namespaces::Namespaces;
use super::outside::OutsideProcess;
use super::whole::{self, Shared, Table};
use super::{check, files, memory};
use crate::error::{Error, Result};
use crate::image::proto::FdinfoEntry;
use crate::options::DumpOptions;
use crate::proc::{ProcDir, stat, status, task};
use crate::refusals::{Finding, Refusals, Verdict};
use crate::sys::{self, Pid};
use serde::Serialize;
use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, Instant};

/// What a survey cannot see.
pub const UNSEEN: &[&str] = &[
    "32-bit code in a 64-bit program, local descriptor tables, AMX tiles",
    "system calls that go to a handler (PR_SET_SYSCALL_USER_DISPATCH)",
    "contexts of asynchronous I/O that a child inherited",
    "io_uring instances that a thread registered for itself",
    "semaphores that a process adjusted (SEM_UNDO) outside of an IPC namespace of its own",
    "what waits in sockets, terminals and message queues, and the descriptors under way there",
    "whether a fault that waits in a userfaultfd is of a task of the tree",
    "limits and system call filters that forbid the engine's own calls in a task",
    "tasks that cannot be stopped in time",
];

/// What was found out about a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// Whether nothing was found that a dump would refuse.
    pub good: bool,
    /// The processes, parents before their children.
    pub processes: Vec<OfProcess>,
    /// What was not looked at, because of what was found.
    pub skipped: Vec<&'static str>,
    /// What only a stopped task shows.
    pub unseen: &'static [&'static str],
}

/// What was found out about a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfProcess {
    /// Its pid.
    pub pid: i32,
    /// Its name.
    pub name: String,
    /// What it holds that a dump would refuse or lose.
    pub findings: Vec<Finding>,
}

/// How long what was found must last.
const MOMENT: Duration = Duration::from_millis(50);

/// Looks at the tree of `options.pid`. What was found is looked at again: the tree runs, and what was so for a moment tells
/// nothing about a dump. A child of vfork is waited for as long as a dump would (`--timeout`).
///
/// # Errors
/// There is no such process, or it cannot be the root of a dump; the kernel refused to tell about it.
pub fn run(options: &DumpOptions) -> Result<Survey> {
    sys::file::widen_table();
    check::root(options.pid)?;
    let begun = Instant::now();
    let mut last = look(options)?;
    while !last.good {
        std::thread::sleep(MOMENT);
        let now = look(options)?;
        let confirmed = now.clone().confirmed_by(&last);
        if confirmed.good || !confirmed.passes() || begun.elapsed() > options.common.timeout {
            return Ok(confirmed);
        }
        last = now;
    }
    Ok(last)
}

fn look(options: &DumpOptions) -> Result<Survey> {
    let mut files = files::Files::new(options);
    files.cx.refusals = Refusals::noting();
    let tree = outlines(options.pid)?;
    let tree: Vec<&Outline> = tree.iter().collect();
    let Some(root) = tree.first() else { return Err(Error::state(format!("there is no process {}", options.pid))) };
    check::tree(&tree, options, &mut files.cx.refusals)?;
    look_for_tracers(&tree, &mut files.cx.refusals)?;
    let namespaces = Namespaces::read(&tree, &mut files.cx.refusals);
    let namespaces = files.cx.refusals.hear(root.pid, namespaces)?;
    // In other namespaces than ours paths and pids mean something else.
    let skipped = match namespaces.filter(Namespaces::are_known) {
        Some(namespaces) => {
            look_inside(&tree, &mut files, namespaces)?;
            Vec::new()
        }
        None => {
            vec!["descriptors, memory and IPC objects, which mean something else in the namespaces that the tree is in"]
        }
    };
    Ok(report(&tree, files.cx.refusals.into_findings(), skipped))
}

/// The live processes below `root` and those that have ended, as they are at the moment.
fn outlines(root: Pid) -> Result<Vec<Outline>> {
    let mut buffer = Vec::new();
    let (mut pids, mut known) = (vec![root], HashSet::from([root]));
    let mut tree = Vec::new();
    let mut next = 0;
    while let Some(&pid) = pids.get(next) {
        next += 1;
        let Some((outline, children)) = gone_is_none(outline(pid, &mut buffer))? else { continue };
        tree.push(outline);
        pids.extend(children.into_iter().filter(|child| known.insert(*child)));
    }
    Ok(tree)
}

fn outline(pid: Pid, buffer: &mut Vec<u8>) -> Result<(Outline, Vec<Pid>)> {
    let dir = ProcDir::open(pid)?;
    let (stat, status) = (stat::read(&dir, buffer)?, status::read(&dir, buffer)?);
    let (mut tids, mut children) = (Vec::new(), Vec::new());
    for tid in gone_is_none(task::threads(&dir).map_err(Error::from))?.unwrap_or_default() {
        let thread = gone_is_none(dir.thread(tid).and_then(|dir| stat::read(&dir, buffer)).map_err(Error::from))?;
        let Some(thread) = thread.filter(|thread| !thread.is_user_worker()) else { continue };
        if !matches!(thread.state, b'Z' | b'X') {
            tids.push(tid);
        }
        let born = dir.read_with(&format!("task/{tid}/children"), buffer, task::parse_children);
        children.extend(gone_is_none(born.map_err(Error::from))?.unwrap_or_default());
    }
    tids.sort_by_key(|tid| (*tid != pid, tid.as_raw()));
    Ok((Outline { pid, dir, stat, status, tids }, children))
}

fn gone_is_none<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.is_of_something_gone() => Ok(None),
        Err(e) => Err(e),
    }
}

fn look_for_tracers(tree: &[&Outline], refusals: &mut Refusals) -> Result<()> {
    let mut buffer = Vec::new();
    for process in tree {
        for &tid in &process.tids {
            let status = process.dir.thread(tid).and_then(|dir| status::read(&dir, &mut buffer));
            let Ok(tracer) = status.map(|status| status.ids.tracer) else { continue };
            let traced = if tracer.as_raw() == 0 { Ok(()) } else { Err(freeze::traced(process.pid, tid, tracer)) };
            refusals.hear(process.pid, traced)?;
        }
    }
    Ok(())
}

/// Looks at what the processes hold, in the order of a dump.
fn look_inside(tree: &[&Outline], files: &mut files::Files<'_>, mut namespaces: Namespaces) -> Result<()> {
    let mut segments = namespaces.segments();
    let outside = whole::begin(tree, files, &mut namespaces)?;
    let shared = Shared::find(tree, &mut files.cx.refusals);
    files.cx.refusals.hear(tree[0].pid, shared)?;
    let mut tables: Vec<(Pid, Pid, Vec<FdinfoEntry>)> = Vec::new();
    for (process, outside) in tree.iter().zip(outside) {
        crate::cancel::check()?;
        let Some(OutsideProcess { areas, descriptors }) = outside else { continue };
        let pid = process.pid;
        let table = files.table(process, descriptors);
        let table = files.cx.refusals.hear(pid, table)?.unwrap_or_default();
        tables.push((pid, process.speaker(), table));
        let directories = files.directories(process);
        files.cx.refusals.hear(pid, directories)?;
        let executable = files.executable(process);
        files.cx.refusals.hear(pid, executable)?;
        let vdso = memory::vdso(process.speaker(), &areas);
        let vdso = vdso.and_then(|vdso| vdso.ok_or_else(|| memory::without_vdso(pid)));
        let vdso = vdso.and_then(|(_, bytes)| memory::refuse_32_bit(pid, &bytes));
        files.cx.refusals.hear(pid, vdso)?;
        memory::survey(process, &areas, files, &mut segments)?;
    }
    let tables: Vec<Table<'_>> = tables.iter().map(|(pid, tid, table)| (*pid, *tid, table.as_slice())).collect();
    whole::settle(tree, &tables, files, &mut namespaces, &mut segments)?;
    let holders = files.cx.locks.check_holders(&files.cx.tree);
    files.cx.refusals.hear(tree[0].pid, holders).map(drop)
}

fn report(tree: &[&Outline], findings: Vec<Finding>, skipped: Vec<&'static str>) -> Survey {
    let of_process = |process: &&Outline| OfProcess {
        pid: process.pid.as_raw(),
        name: String::from_utf8_lossy(&process.stat.comm).into_owned(),
        findings: findings.iter().filter(|finding| finding.pid == process.pid.as_raw()).cloned().collect(),
    };
    let processes: Vec<OfProcess> = tree.iter().map(of_process).collect();
    Survey { good: is_good(&processes), processes, skipped, unseen: UNSEEN }
}

impl Survey {
    /// Whether a dump would wait for something that was found.
    fn passes(&self) -> bool {
        self.processes.iter().flat_map(|process| &process.findings).any(|finding| finding.passing)
    }

    /// Without refusals that another survey of the tree did not find.
    fn confirmed_by(mut self, other: &Survey) -> Survey {
        let others: HashSet<&Finding> = other.processes.iter().flat_map(|process| &process.findings).collect();
        for process in &mut self.processes {
            process.findings.retain(|finding| finding.verdict == Verdict::Lost || others.contains(finding));
        }
        self.good = is_good(&self.processes);
        self
    }
}

fn is_good(processes: &[OfProcess]) -> bool {
    let mut findings = processes.iter().flat_map(|process| &process.findings);
    findings.all(|finding| finding.verdict != Verdict::Refused)
}

impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for process in self.processes.iter().filter(|process| !process.findings.is_empty()) {
            writeln!(f, "process {} ({}):", process.pid, process.name)?;
            for finding in &process.findings {
                let verdict = match finding.verdict {
                    Verdict::Refused => "refused",
                    Verdict::Lost => "lost",
                };
                writeln!(f, "  {verdict}: {}", finding.what)?;
                if let Some(help) = &finding.help {
                    writeln!(f, "    help: {help}")?;
                }
            }
        }
        for what in &self.skipped {
            writeln!(f, "Not looked at: {what}.")?;
        }
        let count = self.processes.len();
        let processes = if count == 1 { "this process".to_owned() } else { format!("these {count} processes") };
        match self.good {
            true => writeln!(f, "Looks good: nothing was found in {processes} that a dump would refuse.")?,
            false => writeln!(f, "A dump of {processes} would fail.")?,
        }
        writeln!(f, "Only a stopped task shows:")?;
        self.unseen.iter().try_for_each(|what| writeln!(f, "  {what}"))
    }
}
