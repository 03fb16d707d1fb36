//! The tree stage: every process is cloned with its pid by its parent, or by whoever brings it into its session; then
//! sessions and groups are as they were. Helpers stand in for leaders that are dead.

use super::cow::Plan;
use super::crew::{Member, Program, run_all};
use super::inherited;
use super::load::Images;
use super::needs::Needs;
use super::seed::{self, Layout};
use super::terminals;
use crate::error::{Doing, Error, Result};
use crate::kind::tty::Session;
use crate::options::RestoreOptions;
use crate::remote::Batch;
use crate::sys::clone::{CloneArgs, Parent};
use crate::sys::ptrace::{self, Event, options};
use crate::sys::{self, Errno, Pid};
use std::collections::HashMap;
use std::os::fd::AsFd;
use zerocopy::IntoBytes;

/// The processes that were created, in the order of the images.
pub struct Tree {
    /// Where the seed is.
    pub layout: Layout,
    /// The leader of each process.
    pub leaders: Vec<Member>,
    /// Its other threads.
    pub threads: Vec<Vec<Member>>,
    /// The pieces of the vDSO and its data in the parking area, in order: address and length.
    pub vdso: Vec<(u64, u64)>,
    /// Stand-ins for dead leaders.
    helpers: Vec<Member>,
    /// Nothing is killed any more.
    released: bool,
}

impl Drop for Tree {
    /// A restore that failed leaves no process.
    fn drop(&mut self) {
        if self.released {
            return;
        }
        // The end of a leader is told only when its other threads are gone, and a traced one is gone when its tracer has
        // waited for it.
        let all = || self.threads.iter().flatten().chain(&self.leaders).chain(&self.helpers);
        for member in all() {
            let _ = nix::sys::signal::kill(member.tid, nix::sys::signal::SIGKILL);
        }
        for member in all() {
            while let Ok(Some((_, event))) = ptrace::wait(member.tid, true) {
                if event.is_end() {
                    break;
                }
            }
        }
    }
}

/// What the kernel attaches us with to everything that is created.
pub const OPTIONS: i32 = options::TRACE_CHILDREN | options::TRACE_EXEC | options::EXIT_KILL | options::SYSGOOD;

/// Creates all processes.
pub fn grow(
    images: &Images,
    options: &RestoreOptions,
    needs: &Needs,
    plan: &Plan,
    sessions: &[Session],
) -> Result<Tree> {
    let layout = Layout::find(images)?;
    let mut grower = Grower::new(images, options, layout, sessions)?;
    grower.plant()?;
    grower.equip(needs)?;
    grower.descend(0, needs, plan)?;
    grower.groups()?;
    grower.foregrounds()?;
    grower.finish()
}

struct Grower<'a> {
    images: &'a Images,
    options: &'a RestoreOptions,
    layout: Layout,
    /// The index of each pid in the images.
    index: HashMap<u32, usize>,
    /// The children of each process.
    children: Vec<Vec<usize>>,
    members: Vec<Option<Member>>,
    /// The session that each process was born into, as the images number it, unless it is the one it leads.
    born_sid: Vec<Option<u32>>,
    helpers: HashMap<u32, Member>,
    /// The sessions that have a terminal.
    sessions: &'a [Session],
    vdso: Vec<(u64, u64)>,
    /// Kills what was made when something fails.
    done: bool,
}

impl Drop for Grower<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let leaders = std::mem::take(&mut self.members).into_iter().flatten().collect();
        let helpers = std::mem::take(&mut self.helpers).into_values().collect();
        drop(Tree { layout: self.layout, leaders, threads: Vec::new(), vdso: Vec::new(), helpers, released: false });
    }
}

/// Whether the leader of a session or group that the tree does not hold is alive. One that is outside of the pid namespace
/// has no number.
fn lives_outside(leader: u32) -> bool {
    leader == 0 || std::path::Path::new(&format!("/proc/{leader}")).exists()
}

impl<'a> Grower<'a> {
    fn new(
        images: &'a Images,
        options: &'a RestoreOptions,
        layout: Layout,
        sessions: &'a [Session],
    ) -> Result<Grower<'a>> {
        let index: HashMap<u32, usize> = images.tasks.iter().enumerate().map(|(i, t)| (t.entry.pid, i)).collect();
        let mut children = vec![Vec::new(); images.tasks.len()];
        for (i, task) in images.tasks.iter().enumerate().skip(1) {
            children[index[&task.entry.ppid]].push(i);
        }
        let members = images.tasks.iter().map(|_| None).collect();
        let born_sid = vec![None; images.tasks.len()];
        let helpers = HashMap::new();
        Ok(Grower {
            images,
            options,
            layout,
            index,
            children,
            members,
            born_sid,
            helpers,
            sessions,
            vdso: Vec::new(),
            done: false,
        })
    }

    fn sid(&self, i: usize) -> u32 {
        self.images.tasks[i].entry.sid
    }

    fn pid(&self, i: usize) -> u32 {
        self.images.tasks[i].entry.pid
    }

    /// Makes the root process, which executes the seed.
    fn plant(&mut self) -> Result<()> {
        let (pid, sid) = (self.pid(0), self.sid(0));
        // A root that leads no session stays in ours, unless its session's leader is dead: then a helper leads it.
        let outer = sid != pid && (self.options.common.shell_job || lives_outside(sid));
        if sid == pid || outer || self.index.contains_key(&sid) {
            let left = || {
                // A root that made its session later has left descendants in the one before.
                let mut others = self.images.tasks.iter().map(|task| task.entry.sid);
                others.find(|sid| !self.index.contains_key(sid) && lives_outside(*sid))
            };
            self.born_sid[0] = if sid == pid { left() } else { Some(sid) };
            let member = self.sow(pid)?;
            self.members[0] = Some(member);
            return Ok(());
        }
        let helper = self.sow(sid)?;
        let mut batch = self.batch();
        batch.call(libc::SYS_setsid, &[]);
        helper.run(self.layout.stub(), &mut batch)?;
        self.helpers.insert(sid, helper);
        let born = self.clone_from_helper(sid, &[0])?;
        self.place(born)?;
        self.born_sid[0] = Some(sid);
        Ok(())
    }

    fn batch(&self) -> Batch {
        let (at, len) = self.layout.batch();
        Batch::new(at, len, 1024)
    }

    /// Whose child the root becomes.
    fn parent(&self) -> Parent {
        // The end of an engine that only restores is not the death that a root asked to be told of.
        let mut threads = self.images.tasks[0].threads.iter().filter_map(|t| t.core.thread_core.as_ref());
        match () {
            () if self.options.sibling => Parent::OfEngine,
            () if self.options.detached && threads.any(|t| t.pdeath_sig.is_some()) => Parent::OfOrphans,
            () => Parent::Engine,
        }
    }

    /// Starts the seed, which we trace.
    fn sow(&mut self, pid: u32) -> Result<Member> {
        let pid = Pid::from_raw(pid as i32);
        let program = seed::program(&self.layout)?;
        let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).doing(|| "make a pipe")?;
        let gate = (read.as_fd(), write.as_fd());
        let namespaces = self.images.namespaces.clone_flags();
        let spawn = || sys::clone::spawn_seed(pid, program.as_fd(), gate, self.parent(), namespaces);
        let child = super::pids::when_given_back(pid, spawn).map_err(|errno| cannot_clone(pid, errno))?;
        let guard = Newborn(Some(child));
        ptrace::seize(child, OPTIONS).doing(|| format!("attach to the new process {child}"))?;
        nix::unistd::write(&write, b"g").doing(|| "start the new process")?;
        let ready = Event::Stopped { signal: libc::SIGTRAP, event: libc::PTRACE_EVENT_EXEC };
        match ptrace::wait(child, true).doing(|| format!("wait for process {child}"))? {
            Some((_, event)) if event == ready => {}
            other => return Err(Error::state(format!("process {child} could not execute the seed: {other:?}"))),
        }
        let member = Member::adopt(child)?.with_stack(self.layout.area);
        self.settle(&member)?;
        guard.keep();
        Ok(member)
    }

    /// Moves a fresh seed into its work area, parks its vDSO, and removes everything else that the kernel or the
    /// engine gave it.
    fn settle(&mut self, member: &Member) -> Result<()> {
        let layout = self.layout;
        let page = sys::page_size();
        let (at, len) = seed::first_batch(&layout);
        let mut batch = Batch::new(at, len, 8);
        let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE) as u64;
        let prot = (libc::PROT_READ | libc::PROT_WRITE) as u64;
        batch.call(libc::SYS_mmap, &[layout.area, layout.len(), prot, flags, u64::MAX, 0]);
        member.run(layout.load, &mut batch)?;
        let code = &stasis_arch::native::stub::RESTORE;
        ptrace::poke_bytes(member.tid, sys::RemoteAddr(layout.area), code).doing(|| "write the stub")?;
        let mut batch = Batch::new(at, len, 8);
        batch.call(libc::SYS_mprotect, &[layout.area, page, (libc::PROT_READ | libc::PROT_EXEC) as u64]);
        member.run(layout.load, &mut batch)?;
        let mut batch = self.batch();
        let mut vdso = Vec::new();
        let mut park = layout.parking();
        let dir = crate::proc::ProcDir::open(member.tid)?;
        for mapping in crate::proc::maps::read(&dir, &mut Vec::new())? {
            use crate::proc::maps::Name;
            let (start, len) = (mapping.range.start, mapping.range.len());
            match mapping.kind() {
                Name::Vsyscall => {}
                Name::Vvar | Name::VvarVclock | Name::Vdso => {
                    let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as u64;
                    batch.call(libc::SYS_mremap, &[start, len, len, flags, park]);
                    vdso.push((park, len));
                    park += len;
                }
                _ if (layout.area..layout.area + layout.len()).contains(&start) => {}
                _ => {
                    batch.call(libc::SYS_munmap, &[start, len]);
                }
            }
        }
        if park > layout.area + layout.len() {
            return Err(Error::state("the vDSO of this kernel is larger than the seed has room for"));
        }
        inherited::shed(&mut batch, &dir)?;
        // Children that exit while the tree is built leave neither a zombie nor a signal.
        let ignore = batch.put([1u64, 0, 0, 0].as_bytes());
        batch.call(libc::SYS_rt_sigaction, &[libc::SIGCHLD as u64, ignore.0, 0, 8]);
        batch.call(libc::SYS_close_range, &[0, u64::from(u32::MAX), 0]);
        // Until the memory stage has read what does not fill a huge page; its children inherit it.
        if crate::proc::thp::unasked().is_some() {
            batch.call(libc::SYS_prctl, &[libc::PR_SET_THP_DISABLE as u64, 1, 0, 0, 0]);
        }
        member.run(layout.stub(), &mut batch)?;
        self.vdso = vdso;
        Ok(())
    }

    /// Gives the root the descriptors of the memory stage, which all others inherit.
    fn equip(&self, needs: &Needs) -> Result<()> {
        let root = self.members[0].as_ref().ok_or_else(|| Error::state("the root was not born"))?;
        super::files::hand_out(&self.layout, vec![(root, needs.given())])
    }

    /// Has a process hold the pages that its descendants share.
    fn prefill(&self, i: usize, needs: &Needs, plan: &Plan) -> Result<()> {
        let Some(program) = plan.program(i, &self.layout, self.images, &needs.numbers)? else { return Ok(()) };
        let member = self.members[i].as_ref().ok_or_else(|| Error::state("a process was not born"))?;
        run_all(self.layout.stub(), &mut [(member, program)]).map(drop)
    }

    /// Creates everything below a process.
    fn descend(&mut self, i: usize, needs: &Needs, plan: &Plan) -> Result<()> {
        self.prefill(i, needs, plan)?;
        let (pid, sid, born) = (self.pid(i), self.sid(i), self.born_sid[i]);
        let children = self.children[i].clone();
        let leads = sid == pid && born != Some(pid);
        // Born before its parent's setsid, a child keeps the old session.
        let (early, rest): (Vec<_>, Vec<_>) =
            children.iter().copied().partition(|&c| leads && born == Some(self.sid(c)));
        self.spawn(i, &early, false, born)?;
        if leads {
            self.lead(i)?;
        }
        let (own, foreign): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|&c| self.sid(c) == sid || self.sid(c) == self.pid(c));
        self.spawn(i, &own, false, Some(sid))?;
        // Those in a session that the parent was never in come from the session's leader, or from its stand-in.
        for &c in &foreign {
            if self.members[c].is_none() {
                self.adopt_from_session(i, self.sid(c), &foreign)?;
            }
        }
        for c in children {
            self.descend(c, needs, plan)?;
        }
        Ok(())
    }

    /// Has a process make its session, with its terminal.
    fn lead(&mut self, i: usize) -> Result<()> {
        self.run(i, |batch| batch.call(libc::SYS_setsid, &[]))?;
        let session = self.sessions.iter().find(|session| session.sid == self.pid(i));
        match (session, &self.members[i]) {
            (Some(session), Some(member)) => terminals::control(member, &self.layout, session),
            _ => Ok(()),
        }
    }

    /// Creates those of `children`, children of process `i`, that are in session `sid`, which `i` is not in.
    fn adopt_from_session(&mut self, i: usize, sid: u32, children: &[usize]) -> Result<()> {
        let group: Vec<usize> = children.iter().copied().filter(|&c| self.sid(c) == sid).collect();
        if let Some(&leader) = self.index.get(&sid) {
            if self.images.tasks[leader].entry.ppid != self.pid(i) {
                let what = format!("process {} is in session {sid}, whose leader is no relative", self.pid(group[0]));
                return Err(Error::state(what).with_help("such orphans cannot be restored yet"));
            }
            self.lead(leader)?;
            self.born_sid[leader] = Some(sid);
            return self.spawn(leader, &group, true, Some(sid));
        }
        self.help(i, sid, libc::SYS_setsid)?;
        let born = self.clone_from_helper(sid, &group)?;
        self.place(born)?;
        group.iter().for_each(|&c| self.born_sid[c] = Some(sid));
        Ok(())
    }

    fn clone_from_helper(&mut self, helper: u32, children: &[usize]) -> Result<Vec<Member>> {
        let births: Vec<Birth> = children.iter().map(|&c| Birth::sibling(self.pid(c))).collect();
        let mut batch = self.batch();
        let calls = clone_calls(&mut batch, &births);
        let helper = &self.helpers[&helper];
        let born = helper.run(self.layout.stub(), &mut batch)?;
        check_clones(&batch, &calls, &births)?;
        Ok(born)
    }

    /// Has process `i` create children, or siblings.
    fn spawn(&mut self, i: usize, children: &[usize], siblings: bool, session: Option<u32>) -> Result<()> {
        const AT_ONCE: usize = 256;
        for some in children.chunks(AT_ONCE) {
            let births = some.iter().map(|&c| self.birth(i, c, siblings)).collect::<Result<Vec<_>>>()?;
            let born = self.clone_by(i, &births)?;
            self.place(born)?;
            some.iter().for_each(|&c| self.born_sid[c] = session);
        }
        Ok(())
    }

    /// How process `c` is to be cloned by process `i`: with what it shares with it.
    fn birth(&self, i: usize, c: usize, sibling: bool) -> Result<Birth> {
        let mut birth = if sibling { Birth::sibling(self.pid(c)) } else { Birth::plain(self.pid(c)) };
        if let Some(signal) = self.images.tasks[c].exit_signal.filter(|_| !sibling) {
            birth.exit_signal = u64::from(signal);
        }
        let (Some(by), Some(child)) = (&self.images.tasks[i].live, &self.images.tasks[c].live) else {
            return Ok(birth);
        };
        let shared = [
            (libc::CLONE_FILES, by.ids.files_id == child.ids.files_id),
            (libc::CLONE_FS, by.ids.fs_id == child.ids.fs_id),
        ];
        birth.flags |= shared.iter().filter(|(_, shared)| *shared).fold(0, |flags, (flag, _)| flags | *flag as u64);
        let others = || self.images.tasks.iter().take(c).filter_map(|t| t.live.as_ref());
        if !shared[0].1 && others().any(|o| o.ids.files_id == child.ids.files_id) {
            let what = format!("process {} shares its descriptors with one that is not its parent", birth.pid);
            return Err(Error::state(what).with_help("such trees cannot be restored yet"));
        }
        Ok(birth)
    }

    fn clone_by(&mut self, i: usize, births: &[Birth]) -> Result<Vec<Member>> {
        let mut batch = self.batch();
        let calls = clone_calls(&mut batch, births);
        let member = self.members[i].as_ref().ok_or_else(|| Error::state("a parent was not born"))?;
        let born = member.run(self.layout.stub(), &mut batch)?;
        check_clones(&batch, &calls, births)?;
        Ok(born)
    }

    /// Puts new tasks where they belong.
    fn place(&mut self, born: Vec<Member>) -> Result<()> {
        for member in born {
            let i = *self
                .index
                .get(&(member.tid.as_raw() as u32))
                .ok_or_else(|| Error::state(format!("task {} was born and is in no image", member.tid)))?;
            self.members[i] = Some(member);
        }
        Ok(())
    }

    fn run(&mut self, i: usize, fill: impl FnOnce(&mut Batch) -> crate::remote::Handle) -> Result<()> {
        let mut batch = self.batch();
        fill(&mut batch);
        let member = self.members[i].as_ref().ok_or_else(|| Error::state("a process was not born"))?;
        member.run(self.layout.stub(), &mut batch).map(drop)
    }

    /// Puts every process into its group; leaders first.
    fn groups(&mut self) -> Result<()> {
        let entries: Vec<_> = self.images.tasks.iter().map(|t| (t.entry.pid, t.entry.pgid, t.entry.sid)).collect();
        let outer_group = entries[0].1;
        let outer_session =
            self.born_sid[0].filter(|sid| !self.index.contains_key(sid) && !self.helpers.contains_key(sid));
        for (i, &(pid, pgid, sid)) in entries.iter().enumerate() {
            let outer = outer_session == Some(sid) && (pgid == outer_group || lives_outside(pgid));
            if self.index.contains_key(&pgid) || self.helpers.contains_key(&pgid) || outer {
                continue;
            }
            if pgid == 0 {
                return Err(Error::state(format!("process {pid} is in a group outside of its session {sid}")));
            }
            // The group's leader is dead: a helper of the same session leads it while its members join.
            self.help(i, pgid, libc::SYS_setpgid)?;
        }
        self.set_groups(&entries, |pid, pgid, sid| pid == pgid && pid != sid)?;
        self.set_groups(&entries, |pid, pgid, _| pid != pgid)
    }

    /// Has process `i` make a helper, which makes its session (`setsid`) or its group (`setpgid`).
    fn help(&mut self, i: usize, pid: u32, lead: i64) -> Result<()> {
        let born = self.clone_by(i, &[Birth::plain(pid)])?;
        let helper = born.into_iter().next().ok_or_else(|| Error::state("a helper was not born"))?;
        let mut batch = self.batch();
        batch.call(lead, &[0, 0]);
        helper.run(self.layout.stub(), &mut batch)?;
        self.helpers.insert(pid, helper);
        Ok(())
    }

    /// Names the foreground groups of terminals; a group may have no member any more.
    fn foregrounds(&mut self) -> Result<()> {
        for session in self.sessions.iter().filter(|session| session.foreground != 0) {
            let Some(&leader) = self.index.get(&session.sid) else { continue };
            if !self.index.contains_key(&session.foreground) && !self.helpers.contains_key(&session.foreground) {
                self.help(leader, session.foreground, libc::SYS_setpgid)?;
            }
            if let Some(member) = &self.members[leader] {
                terminals::foreground(member, &self.layout, session)?;
            }
        }
        Ok(())
    }

    fn set_groups(&mut self, entries: &[(u32, u32, u32)], of: impl Fn(u32, u32, u32) -> bool) -> Result<()> {
        let mut work = Vec::new();
        for (member, &(pid, pgid, sid)) in self.members.iter().zip(entries) {
            let known = self.index.contains_key(&pgid) || self.helpers.contains_key(&pgid);
            if let Some(member) = member.as_ref().filter(|_| known && of(pid, pgid, sid)) {
                let mut program = Program::new(&self.layout);
                program.call(libc::SYS_setpgid, &[0, u64::from(pgid)]);
                work.push((member, program));
            }
        }
        run_all(self.layout.stub(), &mut work).map(drop)
    }

    /// Ends the helpers; sessions and groups live on in their members.
    fn finish(mut self) -> Result<Tree> {
        for (pid, helper) in self.helpers.drain() {
            let mut batch = {
                let (at, len) = self.layout.batch();
                Batch::new(at, len, 4)
            };
            batch.call(libc::SYS_exit_group, &[0]);
            end(&helper, self.layout.stub(), &batch).inspect_err(|_| tracing::warn!("helper {pid} did not end"))?;
        }
        let members = std::mem::take(&mut self.members);
        self.done = true;
        let missing = members.iter().position(Option::is_none);
        let leaders: Vec<Member> = members.into_iter().flatten().collect();
        let threads = leaders.iter().map(|_| Vec::new()).collect();
        let vdso = std::mem::take(&mut self.vdso);
        let tree = Tree { layout: self.layout, leaders, threads, vdso, helpers: Vec::new(), released: false };
        match missing {
            None => Ok(tree),
            Some(i) => Err(Error::state(format!("process {} was not born", self.pid(i)))),
        }
    }
}

impl Tree {
    /// Every process lives on from here by itself.
    pub fn release(mut self) {
        self.released = true;
    }
}

/// Runs a batch at whose end the task exits.
pub fn end(member: &Member, stub: u64, batch: &Batch) -> Result<()> {
    member.start(stub, batch)?;
    loop {
        match ptrace::wait(member.tid, true) {
            Ok(Some((_, event))) if event.is_end() => return Ok(()),
            Ok(Some(_)) => drop(ptrace::cont(member.tid, 0)),
            Ok(None) | Err(Errno::ECHILD) => return Ok(()),
            Err(e) => return Err(e).doing(|| format!("wait for the end of task {}", member.tid)),
        }
    }
}

/// A process to be cloned.
struct Birth {
    pid: u32,
    flags: u64,
    exit_signal: u64,
}

impl Birth {
    /// A child of the one that clones it.
    fn plain(pid: u32) -> Birth {
        Birth { pid, flags: 0, exit_signal: libc::SIGCHLD as u64 }
    }

    /// A child of its parent: the kernel then gives it the exit signal of the one that clones it.
    fn sibling(pid: u32) -> Birth {
        Birth { pid, flags: libc::CLONE_PARENT as u64, exit_signal: 0 }
    }
}

/// Adds a clone3 for each process.
fn clone_calls(batch: &mut Batch, births: &[Birth]) -> Vec<crate::remote::Handle> {
    let mut calls = Vec::new();
    for birth in births {
        let set_tid = batch.put(&birth.pid.to_ne_bytes());
        let args = CloneArgs {
            flags: birth.flags,
            exit_signal: birth.exit_signal,
            set_tid: set_tid.0,
            set_tid_size: 1,
            ..CloneArgs::default()
        };
        let args = batch.put(args.as_bytes());
        calls.push(batch.try_call(libc::SYS_clone3, &[args.0, size_of::<CloneArgs>() as u64]));
    }
    calls
}

fn check_clones(batch: &Batch, calls: &[crate::remote::Handle], births: &[Birth]) -> Result<()> {
    for (call, birth) in calls.iter().zip(births) {
        batch.result(*call).map_err(|errno| cannot_clone(Pid::from_raw(birth.pid as i32), errno))?;
    }
    Ok(())
}

/// Why a process with a certain pid could not be made.
fn cannot_clone(pid: Pid, errno: Errno) -> Error {
    let error = Error::Kernel { doing: format!("create process {pid}"), errno, help: None };
    match errno {
        Errno::EEXIST => error.with_help(format!(
            "pid {pid} is taken: {}; wait until that is gone, or restore in a new pid namespace",
            super::pids::holder_of(pid)
        )),
        Errno::EPERM => error.with_help("choosing a pid needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN: run as root"),
        Errno::EINVAL => error.with_help("the pid is beyond the pid namespace's limit (/proc/sys/kernel/pid_max)"),
        _ => error,
    }
}

/// A child that is killed unless it is kept.
struct Newborn(Option<Pid>);

impl Newborn {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Newborn {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL);
            while let Ok(Some((_, event))) = ptrace::wait(pid, true) {
                if event.is_end() {
                    break;
                }
            }
        }
    }
}
