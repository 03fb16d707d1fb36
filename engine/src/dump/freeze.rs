//! Freezing: every thread of the tree is attached to and stopped, again and again until a pass finds nothing new.
//! Children that are born meanwhile are attached at birth.

use super::cgroup::Cgroup;
use super::outside::Outside;
use super::queues::Queues;
use crate::error::{Doing, Error, Result};
use crate::proc::{ProcDir, stat, stat::Stat, status, status::Status, task};
use crate::remote::{Asleep, Seized};
use crate::sys::ptrace::{self, Event};
use crate::sys::{Errno, Pid};
use crate::{fault, parallel};
use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

/// A frozen thread with what /proc says of it.
pub struct Thread {
    /// The thread, stopped.
    pub seized: Seized,
    /// What is seen of it from outside.
    pub outside: Outside,
    /// The signal that stopped its process, where it is stopped.
    pub stopped_by: Option<u32>,
}

/// A process as /proc shows it.
pub struct Outline {
    /// Its pid.
    pub pid: Pid,
    /// Its directory in /proc, held open.
    pub dir: ProcDir,
    /// Its leader's `stat`, read when everything was stopped.
    pub stat: Stat,
    /// Its leader's `status`.
    pub status: Status,
    /// The live threads, the leader first where it lives; empty for a zombie.
    pub tids: Vec<Pid>,
}

/// A process of the tree: all its threads are stopped, or it is a zombie.
pub struct Process {
    /// What /proc says of it.
    pub outline: Outline,
    /// Its threads, as in the outline.
    pub threads: Vec<Thread>,
    /// The queued signals that its core images hold, once they are written.
    pub queues: Queues,
}

impl Deref for Process {
    type Target = Outline;

    fn deref(&self) -> &Outline {
        &self.outline
    }
}

/// What /proc says of each process.
pub fn outlines(tree: &[Process]) -> Vec<&Outline> {
    tree.iter().map(|process| &process.outline).collect()
}

impl Outline {
    /// Whether nothing of it runs any more.
    pub fn is_zombie(&self) -> bool {
        self.tids.is_empty()
    }

    /// Whether its leader has exited while other threads live on.
    pub fn has_dead_leader(&self) -> bool {
        self.tids.first().is_some_and(|tid| *tid != self.pid)
    }

    /// A live thread to ask about the memory and the descriptors.
    pub fn speaker(&self) -> Pid {
        self.tids.first().copied().unwrap_or(self.pid)
    }
}

/// Stops the tree below `root`: the processes, parents before their children. With a cgroup its freezer keeps the tree
/// from moving while the tasks are told to stop.
pub fn freeze(root: Pid, timeout: Duration, cgroup: &mut Option<Cgroup>) -> Result<Vec<Process>> {
    let mut freezer = Freezer {
        processes: Vec::new(),
        known: HashSet::new(),
        born: HashSet::new(),
        asked: Vec::new(),
        threads: HashMap::new(),
        asleep: HashMap::new(),
        deadline: Instant::now() + timeout,
        buffer: Vec::new(),
    };
    freezer.add(root)?.ok_or_else(|| Error::state(format!("there is no process {root}")))?;
    if let Some(cgroup) = cgroup {
        freezer.ask_frozen(cgroup)?;
    }
    loop {
        let before = freezer.known.len();
        let mut i = 0;
        while i < freezer.processes.len() {
            freezer.sweep(i)?;
            i += 1;
        }
        if freezer.known.len() == before {
            break;
        }
    }
    freezer.finish()
}

/// A process as it is found.
struct Found {
    pid: Pid,
    dir: ProcDir,
    /// How many tasks were known when its children were last listed, all of these stopped.
    listed: usize,
}

struct Freezer {
    processes: Vec<Found>,
    /// Every process and thread that was looked at.
    known: HashSet<Pid>,
    /// Tasks that the kernel attached us to at their birth.
    born: HashSet<Pid>,
    /// Threads, after their process, that were told to stop and have not been seen to do so.
    asked: Vec<(Pid, Pid)>,
    /// The stopped threads of each process.
    threads: HashMap<Pid, Vec<(Seized, Option<u32>)>>,
    /// Where threads slept before they were told to stop.
    asleep: HashMap<Pid, Asleep>,
    deadline: Instant,
    buffer: Vec<u8>,
}

impl Drop for Freezer {
    /// What was told to stop is waited for also where the dump is given up: a call that the stop ended goes on only in a
    /// thread that is told so. One that cannot stop is in no such call.
    fn drop(&mut self) {
        let until = Instant::now() + Duration::from_secs(1);
        while let Some((_, tid)) = self.asked.pop() {
            let in_time = |_: &Freezer, _| if Instant::now() < until { Ok(()) } else { Err(Error::Cancelled) };
            if let Ok(Some(signal)) = self.await_stop(tid, in_time) {
                let _ = Seized::adopt(tid, self.asleep.remove(&tid), signal != libc::SIGTRAP);
            }
        }
    }
}

impl Freezer {
    /// Takes a process into the list; `None` when there is no such process any more.
    fn add(&mut self, pid: Pid) -> Result<Option<()>> {
        let dir = match ProcDir::open(pid) {
            Ok(dir) => dir,
            Err(e) if e.is_gone() => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        self.processes.push(Found { pid, dir, listed: 0 });
        Ok(Some(()))
    }

    /// Tells every task of the tree to stop while the cgroup is frozen; they do so when it is thawed.
    fn ask_frozen(&mut self, cgroup: &mut Cgroup) -> Result<()> {
        let frozen_by_us = cgroup.freeze(self.deadline)?;
        let asked = self.ask_all();
        // Thawed also where the dump is given up: they stop only then.
        let thawed = cgroup.thaw(frozen_by_us);
        asked.and(thawed)?;
        self.await_all()
    }

    fn ask_all(&mut self) -> Result<()> {
        let mut i = 0;
        while i < self.processes.len() {
            let (pid, tids) = self.ask(i)?;
            self.list_children(i, &tids)?;
            self.processes[i].listed = 0; // nothing is stopped yet
            tracing::debug!("process {pid}: {} threads asked to stop", tids.len());
            i += 1;
        }
        fault::point("frozen cgroup")
    }

    /// Stops the threads of a process that are not stopped yet and lists its children.
    fn sweep(&mut self, index: usize) -> Result<()> {
        crate::cancel::check()?;
        let (_, tids) = self.ask(index)?;
        fault::point("attached")?;
        self.await_all()?;
        // Nobody had children since the last time if everything that is known stood still then.
        if self.processes[index].listed == self.known.len() { Ok(()) } else { self.list_children(index, &tids) }
    }

    /// Attaches to the threads of a process that are not known yet and tells them to stop; all its threads.
    fn ask(&mut self, index: usize) -> Result<(Pid, Vec<Pid>)> {
        let pid = self.processes[index].pid;
        let tids = gone_is_empty(task::threads(&self.processes[index].dir))?;
        for &tid in &tids {
            if self.known.insert(tid) && self.attach(pid, tid)? {
                self.asked.push((pid, tid));
            }
        }
        Ok((pid, tids))
    }

    /// Waits until the threads that were told to stop have done so.
    fn await_all(&mut self) -> Result<()> {
        while let Some(&(pid, tid)) = self.asked.last() {
            let stopped = self.await_stop(tid, Freezer::check_time)?;
            self.asked.pop();
            if let Some(signal) = stopped {
                let stopped_by = (signal != libc::SIGTRAP).then_some(signal as u32);
                let seized = Seized::adopt(tid, self.asleep.remove(&tid), stopped_by.is_some())?;
                // A worker is let go.
                if !self.is_worker(&seized)? {
                    self.threads.entry(pid).or_default().push((seized, stopped_by));
                }
            }
        }
        Ok(())
    }

    /// Whether a stopped thread is the kernel's own, which never runs a program: a worker of io_uring. Once let go it
    /// completes what it is about, and it comes again by itself after a restore.
    fn is_worker(&mut self, seized: &Seized) -> Result<bool> {
        if seized.regs().ip() != 0 {
            return Ok(false);
        }
        match ProcDir::open(seized.tid()).and_then(|dir| stat::read(&dir, &mut self.buffer)) {
            Ok(stat) => Ok(stat.is_user_worker()),
            Err(e) if e.is_gone() => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    fn list_children(&mut self, index: usize, tids: &[Pid]) -> Result<()> {
        self.processes[index].listed = self.known.len();
        if tids.len() > MANY_THREADS && !is_parent(self.processes[index].pid)? {
            return Ok(());
        }
        let dir = &self.processes[index].dir;
        let of_threads = parallel::map(tids, |tid| {
            let file = format!("task/{tid}/children");
            gone_is_empty(dir.read_with(&file, &mut Vec::new(), task::parse_children))
        })?;
        for child in of_threads.into_iter().flatten() {
            if !self.processes.iter().any(|p| p.pid == child) {
                self.add(child)?;
            }
        }
        Ok(())
    }

    /// Attaches to a thread and asks it to stop; false when it cannot stop because it has ended.
    fn attach(&mut self, pid: Pid, tid: Pid) -> Result<bool> {
        if self.born.contains(&tid) {
            return Ok(true);
        }
        loop {
            match ptrace::seize(tid, ptrace::options::TRACE_CHILDREN) {
                Ok(()) => break,
                Err(Errno::ESRCH) => return Ok(false),
                Err(Errno::EPERM) if self.is_being_let_go(tid) => std::thread::sleep(Duration::from_millis(1)),
                Err(errno) => return self.explain_refusal(pid, tid, errno),
            }
        }
        if let Some(asleep) = Asleep::look(tid) {
            self.asleep.insert(tid, asleep);
        }
        match ptrace::interrupt(tid) {
            Ok(()) => Ok(true),
            Err(Errno::ESRCH) => Ok(false),
            Err(e) => Err(e).doing(|| format!("interrupt task {tid}")),
        }
    }

    /// Whether the tracer of a task is an engine like us that nobody waits for any more: its dump was given up, and it
    /// is about to let the task go.
    fn is_being_let_go(&mut self, tid: Pid) -> bool {
        let mut status_of = |pid: Pid| status::read(&ProcDir::open(pid).ok()?, &mut self.buffer).ok();
        let Some(tracer) = status_of(tid).map(|status| status.ids.tracer).filter(|t| t.as_raw() != 0) else {
            return false;
        };
        let exe = |pid: &str| std::fs::metadata(format!("/proc/{pid}/exe")).map(|m| (m.dev(), m.ino())).ok();
        let (theirs, ours) = (exe(&tracer.to_string()), exe("self"));
        let front = status_of(tracer).map_or(Pid::from_raw(0), |status| status.ids.ppid);
        theirs.is_some() && theirs == ours && exe(&front.to_string()) != ours && Instant::now() < self.deadline
    }

    /// Why we may not attach: it has ended, it is ours since birth, somebody else traces it, or we lack the right.
    fn explain_refusal(&mut self, pid: Pid, tid: Pid, errno: Errno) -> Result<bool> {
        let Ok(dir) = ProcDir::open(tid) else { return Ok(false) };
        let Ok(status) = status::read(&dir, &mut self.buffer) else { return Ok(false) };
        if matches!(status.state, b'Z' | b'X') {
            return Ok(false);
        }
        if status.ids.tracer == nix::unistd::gettid() {
            return Ok(true);
        }
        if status.ids.tracer.as_raw() != 0 {
            return Err(traced(pid, tid, status.ids.tracer));
        }
        let help = "dumping another process needs CAP_SYS_PTRACE: run as root";
        Err(errno).doing(|| format!("attach to task {tid} of process {pid}")).map_err(|e| e.with_help(help))
    }

    /// Waits until the thread is stopped: the stop signal where its process was stopped already, else SIGTRAP; `None`
    /// when the thread ended instead. `in_time` fails when it has been waited for long enough.
    fn await_stop(&mut self, tid: Pid, in_time: impl Fn(&Freezer, Pid) -> Result<()>) -> Result<Option<i32>> {
        let mut spins = 0u32;
        loop {
            match ptrace::wait(tid, false) {
                Ok(Some((_, Event::Stopped { signal, event: ptrace::EVENT_STOP }))) => return Ok(Some(signal)),
                Ok(Some((_, Event::Stopped { signal, event }))) => self.pass(tid, signal, event)?,
                Ok(Some((_, _))) | Err(Errno::ECHILD) => return Ok(None),
                Err(e) => return Err(e).doing(|| format!("wait for task {tid}")),
                Ok(None) => {
                    spins += 1;
                    if spins < 100 {
                        std::thread::yield_now();
                    } else {
                        std::thread::sleep(Duration::from_micros(100));
                        in_time(self, tid)?;
                    }
                }
            }
        }
    }

    /// Lets a thread go on that stopped for something else: a signal on its way, or a birth, which is noted.
    fn pass(&mut self, tid: Pid, signal: i32, event: i32) -> Result<()> {
        let births = [libc::PTRACE_EVENT_FORK, libc::PTRACE_EVENT_VFORK, libc::PTRACE_EVENT_CLONE];
        if births.contains(&event) {
            let child = ptrace::event_message(tid).doing(|| format!("ask task {tid} for its child"))?;
            self.born.insert(Pid::from_raw(child as i32));
        }
        // Whatever a thread stops for, the kernel takes for the stop that it was told (ptrace_stop clears
        // JOBCTL_TRAP_STOP). It is told again while it stands still: once it runs it could be told twice.
        match ptrace::interrupt(tid) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(e) => return Err(e).doing(|| format!("interrupt task {tid}")),
        }
        match ptrace::cont(tid, if event == 0 { signal } else { 0 }) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(e) => Err(e).doing(|| format!("resume task {tid}")),
        }
    }

    fn check_time(&self, tid: Pid) -> Result<()> {
        if crate::cancel::requested() {
            return Err(Error::Cancelled);
        }
        if Instant::now() < self.deadline {
            return Ok(());
        }
        let wchan = std::fs::read_to_string(format!("/proc/{tid}/wchan")).unwrap_or_default();
        let error = Error::state(format!("task {tid} did not stop in time; it waits in the kernel ({wchan})"));
        Err(error.with_help(
            "a parent in vfork cannot be stopped before its child executes or exits, nor can a task that waits for a \
             dead disk or server; try again later or allow more with --timeout",
        ))
    }

    /// Reads what /proc says of everything, now that nothing moves.
    fn finish(mut self) -> Result<Vec<Process>> {
        let found = std::mem::take(&mut self.processes);
        let mut stopped: Vec<Vec<(Seized, Option<u32>)>> =
            found.iter().map(|found| self.threads.remove(&found.pid).unwrap_or_default()).collect();
        for (threads, found) in stopped.iter_mut().zip(&found) {
            // The leader first, the others by number.
            threads.sort_by_key(|(t, _)| (t.tid() != found.pid, t.tid().as_raw()));
        }
        let leads =
            |(found, threads): &(&Found, &Vec<(Seized, _)>)| threads.first().is_some_and(|(t, _)| t.tid() == found.pid);
        let pairs: Vec<_> = found.iter().zip(&stopped).map(|pair| (pair.0, leads(&pair))).collect();
        let leaders = parallel::map(&pairs, |(found, lives)| {
            let mut buffer = Vec::new();
            match stat::read(&found.dir, &mut buffer) {
                // That of a live leader is read with those of all threads.
                Ok(stat) if *lives => Ok(Some((stat, None))),
                Ok(stat) => Ok(Some((stat, Some(status::read(&found.dir, &mut buffer)?)))),
                Err(e) if e.is_gone() => Ok(None),
                Err(e) => Err(e.into()),
            }
        })?;
        let mut tids = Vec::new();
        for (threads, found) in stopped.iter().zip(&found) {
            tids.extend(threads.iter().map(|(t, _)| (&found.dir, t.tid())));
        }
        let mut outside = parallel::map(&tids, |(dir, tid)| Outside::read(dir, *tid))?.into_iter();
        let mut processes = Vec::new();
        for ((found, threads), leader) in found.into_iter().zip(stopped).zip(leaders) {
            let pid = found.pid;
            let (stat, status) = match leader {
                Some(read) => read,
                None if threads.is_empty() => continue, // reaped before its parent was stopped
                None => return Err(Error::state(format!("process {pid} died while it was frozen"))),
            };
            // In this order: zip asks its second iterator only when the first had an item.
            let tids = threads.iter().map(|(seized, _)| seized.tid()).collect();
            let threads = threads.into_iter().zip(outside.by_ref());
            let threads = threads.map(|((s, by), outside)| thread(s, by, outside)).collect::<Result<Vec<_>>>()?;
            let of_leader = || threads.first().map(|thread: &Thread| thread.outside.status.clone());
            let status = status.or_else(of_leader).unwrap_or_default();
            let outline = Outline { pid, dir: found.dir, stat, status, tids };
            processes.push(Process { outline, threads, queues: Queues::default() });
        }
        Ok(processes)
    }
}

/// Keeps seccomp from acting on the calls that we will have it make.
///
/// The kernel asks at each call whether a living tracer suspends seccomp (PTRACE_O_SUSPEND_SECCOMP), and a thread has
/// one tracer. So a task under seccomp whose tracer is killed while the task stands in our code dies of its next call:
/// even the way home makes two. Nothing of ours can stand in; that is why the tracer is not the process that the user
/// started, whose death is harmless at every instant. The same holds for a filter without restart_syscall(2): then any
/// stop of a sleep, by whomever, is fatal.
fn thread(mut seized: Seized, stopped_by: Option<u32>, outside: Outside) -> Result<Thread> {
    let tid = seized.tid();
    if outside.status.seccomp.unwrap_or(0) != 0 {
        let options = ptrace::options::TRACE_CHILDREN | ptrace::options::SUSPEND_SECCOMP;
        ptrace::set_options(tid, options).doing(|| format!("suspend the seccomp filters of task {tid}")).map_err(
            |e| e.with_help("this needs CAP_SYS_ADMIN and an engine that is under no seccomp filter itself"),
        )?;
    }
    // Its handler would get our own calls.
    if ptrace::user_dispatch(tid).is_ok_and(|mode| mode != 0) {
        let reason = "its system calls go to a handler (PR_SET_SYSCALL_USER_DISPATCH), which is not supported";
        return Err(Error::unsupported(format!("task {tid}"), reason));
    }
    // One that is stopped would go on.
    if stopped_by.is_none() {
        seized.resolve_restart()?;
    }
    seized.abort_rseq()?;
    Ok(Thread { seized, outside, stopped_by })
}

/// Somebody else traces a task.
pub fn traced(pid: Pid, tid: Pid, tracer: Pid) -> Error {
    Error::state(format!("task {tid} of process {pid} is traced by process {tracer}"))
        .with_help("end the debugger or strace that is attached to it")
}

/// With more threads than this, to look at every process of the machine is less than to ask each thread for its children.
const MANY_THREADS: usize = 1000;

/// Whether any process names `pid` as its parent.
fn is_parent(pid: Pid) -> Result<bool> {
    let mut buffer = Vec::new();
    for other in task::processes()? {
        match ProcDir::open(other).and_then(|dir| stat::read(&dir, &mut buffer)) {
            Ok(stat) if stat.ppid == pid => return Ok(true),
            Err(e) if !e.is_gone() => return Err(e.into()),
            _ => {}
        }
    }
    Ok(false)
}

/// A process that is gone has no threads and no children.
fn gone_is_empty<T>(result: crate::proc::Result<Vec<T>>) -> Result<Vec<T>> {
    match result {
        Ok(list) => Ok(list),
        Err(e) if e.is_gone() => Ok(Vec::new()),
        Err(e) => Err(e.into()),
    }
}
