//! A process and its threads, as /proc shows them.

use super::area::{self, Area};
use super::fd::{self, Fd};
use super::identity::Labels;
use crate::process::{self, Stat};
use crate::sys::Kcmp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;

/// A process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Task {
    /// Parent, group and session.
    ppid: String,
    pgid: String,
    sid: String,
    /// The controlling terminal and its foreground group.
    terminal: [String; 2],
    /// `runs` (running or sleeping: a matter of the moment), `stopped`, `zombie`.
    state: &'static str,
    /// The wait status that a zombie has for its parent.
    exit_code: Option<String>,
    /// The signal that its end sends to the parent.
    exit_signal: String,
    /// What /proc/PID/WHAT says, for files of one value or a fixed text.
    attributes: BTreeMap<&'static str, String>,
    /// Working directory, root, executable.
    links: BTreeMap<&'static str, String>,
    /// Which tasks share address space, descriptor table, fs, signal actions, I/O context, semaphore undo.
    shared: BTreeMap<&'static str, Option<usize>>,
    /// Starts and ends of code, data, heap, stack, arguments and environment.
    bounds: BTreeMap<&'static str, String>,
    threads: BTreeMap<i32, Thread>,
    fds: BTreeMap<i32, Fd>,
    /// Memory areas by their start.
    pub(super) maps: BTreeMap<String, Area>,
}

/// A thread.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Thread {
    state: &'static str,
    nice: String,
    policy: String,
    rt_priority: String,
    personality: String,
    /// Lines of /proc/PID/task/TID/status, by their names there.
    #[serde(flatten)]
    status: BTreeMap<String, String>,
}

/// The lines of a thread's status that a restore must bring back. The first [`ZOMBIE`] of them tell of one that has
/// ended, too; its masks and capabilities nobody will see again.
const STATUS: [&str; 28] = [
    "Name",
    "Tgid",
    "Pid",
    "NStgid",
    "NSpid",
    "TracerPid",
    "Uid",
    "Gid",
    "Umask",
    "Groups",
    "SigPnd",
    "ShdPnd",
    "SigBlk",
    "SigIgn",
    "SigCgt",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
    "Speculation_Store_Bypass",
    "SpeculationIndirectBranch",
    "Cpus_allowed",
    "THP_enabled",
    "x86_Thread_features",
];
const ZOMBIE: usize = 8;

/// Files of a process with one value, or a text that does not change.
const ATTRIBUTES: [&str; 12] = [
    "autogroup",
    "cgroup",
    "cmdline",
    "coredump_filter",
    "environ",
    "auxv",
    "limits",
    "loginuid",
    "oom_score_adj",
    "setgroups",
    "timers",
    "timerslack_ns",
];

/// The fields of proc_pid_stat(5) that PR_SET_MM_MAP sets.
const BOUNDS: [(&str, usize); 10] = [
    ("start_code", 26),
    ("end_code", 27),
    ("start_stack", 28),
    ("start_data", 45),
    ("end_data", 46),
    ("start_brk", 47),
    ("arg_start", 48),
    ("arg_end", 49),
    ("env_start", 50),
    ("env_end", 51),
];

const SHARED: [(&str, Kcmp); 6] = [
    ("vm", Kcmp::Vm),
    ("files", Kcmp::Files),
    ("fs", Kcmp::Fs),
    ("sighand", Kcmp::Sighand),
    ("io", Kcmp::Io),
    ("sysvsem", Kcmp::Sysvsem),
];

impl Task {
    /// Looks at a process; none where it is gone.
    pub fn take(pid: i32, labels: &mut Labels) -> Option<Task> {
        let path = format!("/proc/{pid}");
        let stat = Stat::read(&path)?;
        let state = class(stat.state());
        let zombie = state == "zombie";
        let text = |number: usize| stat.field(number).to_owned();
        let is_worker = |t: &i32| Stat::read(&format!("{path}/task/{t}")).is_some_and(|stat| stat.is_worker());
        let threads = process::threads(pid).into_iter().filter(|t| !is_worker(t));
        // Of a process that has ended only what its parent can ask for is left.
        let attributes = if zombie && process::threads(pid).len() < 2 { &[][..] } else { &ATTRIBUTES[..] };
        Some(Task {
            ppid: text(4),
            pgid: text(5),
            sid: text(6),
            terminal: [text(7), text(8)],
            state,
            exit_code: zombie.then(|| text(52)),
            exit_signal: text(38),
            attributes: attributes.iter().filter_map(|name| Some((*name, attribute(&path, name)?))).collect(),
            links: ["cwd", "root", "exe"].into_iter().filter_map(|name| Some((name, link(&path, name)?))).collect(),
            shared: SHARED.into_iter().map(|(name, kind)| (name, labels.object(kind, pid, 0))).collect(),
            bounds: BOUNDS.into_iter().map(|(name, field)| (name, text(field))).collect(),
            threads: threads.filter_map(|t| Some((t, Thread::take(&path, t)?))).collect(),
            fds: fd::of(pid, labels),
            maps: area::of(pid, labels),
        })
    }
}

impl Thread {
    fn take(process: &str, tid: i32) -> Option<Thread> {
        let path = format!("{process}/task/{tid}");
        let stat = Stat::read(&path)?;
        let text = |number: usize| stat.field(number).to_owned();
        let state = class(stat.state());
        let status = fs::read_to_string(format!("{path}/status")).ok()?;
        let wanted = |line: &str| {
            let (key, value) = line.split_once(':')?;
            let kept = if state == "zombie" { &STATUS[..ZOMBIE] } else { &STATUS[..] };
            kept.contains(&key).then(|| (key.to_owned(), value.split_whitespace().collect::<Vec<_>>().join(" ")))
        };
        Some(Thread {
            state,
            nice: text(19),
            policy: text(41),
            rt_priority: text(40),
            personality: attribute(&path, "personality").unwrap_or_default(),
            status: status.lines().filter_map(wanted).collect(),
        })
    }
}

fn class(state: char) -> &'static str {
    match state {
        'T' => "stopped",
        't' => "traced",
        'Z' => "zombie",
        'X' => "dead",
        _ => "runs",
    }
}

/// The text of a file, printable and on one line.
fn attribute(path: &str, name: &str) -> Option<String> {
    let bytes = fs::read(format!("{path}/{name}")).ok()?;
    Some(match std::str::from_utf8(&bytes) {
        // `/autogroup-12 nice 0`: each setsid makes a new group.
        Ok(text) if name == "autogroup" => text.split_once(' ').map_or("", |(_, nice)| nice.trim()).to_owned(),
        Ok(text) => text.replace(['\n', '\0'], " ").trim().to_owned(),
        Err(_) => bytes.iter().map(|b| format!("{b:02x}")).collect(),
    })
}

fn link(path: &str, name: &str) -> Option<String> {
    fs::read_link(format!("{path}/{name}")).ok().map(|target| target.to_string_lossy().into_owned())
}
