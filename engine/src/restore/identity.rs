//! The identity stage: what a process is beyond its memory: executable and arguments, directories, signal actions and
//! queues, timers, limits, attributes. Credentials come after ([`super::threads::restrict`]).

use super::crew::Program;
use super::late::Late;
use super::load::{LiveImage, TaskImage};
use super::needs::{Need, Numbers};
use super::threads;
use super::tree::Tree;
use super::{crew::run_all, load::Images};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{ItimerEntry, PosixTimerEntry, SaEntry};
use crate::sys;
use zerocopy::{Immutable, IntoBytes};

/// `struct prctl_mm_map` of prctl(2) PR_SET_MM_MAP.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
struct MmMap {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: u64,
    auxv_size: u32,
    exe_fd: u32,
}

/// While the descriptors of the memory stage are there: executable, root, working directory, umask. `rerooted` says that
/// the root of the images is not ours.
pub fn place(images: &Images, tree: &Tree, numbers: &Numbers, late: &Late, rerooted: bool) -> Result<()> {
    let own_loginuid = crate::proc::task::login_uid(&crate::proc::ProcDir::current()?, &mut Vec::new())?;
    let mut work = Vec::new();
    for (i, task) in images.tasks.iter().enumerate() {
        let Some(live) = &task.live else { continue };
        let mut program = Program::new(&tree.layout);
        mm_map(&mut program, live, numbers);
        // Threads inherit it, where the leader's own image does not say it once more.
        if task.core.personality != 0 && task.threads.first().is_some_and(|t| t.extra.personality.is_none()) {
            program.call(libc::SYS_personality, &[u64::from(task.core.personality)]);
        }
        let loginuid = task.core.loginuid.filter(|uid| *uid != own_loginuid && shares_nothing(images, live));
        if let Some(uid) = loginuid {
            set_loginuid(&mut program, uid, numbers.len() as u64);
        }
        if (rerooted || has_own_root(images, live)) && !late.has(live.fs.root_id) {
            enter_root(&mut program, numbers[&Need::File(live.fs.root_id)]);
        }
        directories(&mut program, live, numbers, late);
        work.push((&tree.leaders[i], program));
    }
    run_all(tree.layout.stub(), &mut work).map(drop)
}

/// Whether no other process has this one's descriptors.
fn shares_nothing(images: &Images, live: &LiveImage) -> bool {
    let same = |other: &&LiveImage| other.ids.files_id == live.ids.files_id;
    images.tasks.iter().filter_map(|t| t.live.as_ref()).filter(same).count() == 1
}

/// Only a task itself may set the user that it logged in as. Its descriptors are known: the next one is `free`.
fn set_loginuid(program: &mut Program, uid: u32, free: u64) {
    let text = uid.to_string();
    let batch = program.room(3, 128);
    let path = batch.put_str(b"/proc/self/loginuid");
    batch.call_for(libc::SYS_openat, &[libc::AT_FDCWD as u64, path.0, libc::O_WRONLY as u64], free as i64);
    let at = batch.put(text.as_bytes());
    batch.call(libc::SYS_write, &[free, at.0, text.len() as u64]);
    batch.call(libc::SYS_close, &[free]);
}

fn mm_map(program: &mut Program, live: &LiveImage, numbers: &Numbers) {
    const PR_SET_MM: u64 = 35;
    const PR_SET_MM_MAP: u64 = 14;
    let mm = &live.mm;
    let auxv: Vec<u8> = mm.mm_saved_auxv.iter().flat_map(|w| w.to_ne_bytes()).collect();
    let batch = program.room(1, auxv.len() + size_of::<MmMap>() + 32);
    let at = batch.put(&auxv);
    let map = MmMap {
        start_code: mm.mm_start_code,
        end_code: mm.mm_end_code,
        start_data: mm.mm_start_data,
        end_data: mm.mm_end_data,
        start_brk: mm.mm_start_brk,
        brk: mm.mm_brk,
        start_stack: mm.mm_start_stack,
        arg_start: mm.mm_arg_start,
        arg_end: mm.mm_arg_end,
        env_start: mm.mm_env_start,
        env_end: mm.mm_env_end,
        auxv: at.0,
        auxv_size: auxv.len() as u32,
        exe_fd: numbers[&Need::File(mm.exe_file_id)] as u32,
    };
    let map = batch.put(map.as_bytes());
    batch.call(libc::SYS_prctl, &[PR_SET_MM, PR_SET_MM_MAP, map.0, size_of::<MmMap>() as u64, 0]);
}

/// Whether a process has another root than the images as a whole.
fn has_own_root(images: &Images, live: &LiveImage) -> bool {
    let root = images.files.get(&live.fs.root_id).and_then(|f| f.reg.as_ref());
    root.is_none_or(|r| r.name != b"/")
}

fn directories(program: &mut Program, live: &LiveImage, numbers: &Numbers, late: &Late) {
    if !late.has(live.fs.cwd_id) {
        program.call(libc::SYS_fchdir, &[numbers[&Need::File(live.fs.cwd_id)] as u64]);
    }
    program.call(libc::SYS_umask, &[u64::from(live.fs.umask.unwrap_or(0o22))]);
}

/// Makes a directory the root, and the working directory.
pub fn enter_root(program: &mut Program, fd: i32) {
    program.call(libc::SYS_fchdir, &[fd as u64]);
    program.call_with(libc::SYS_chroot, &[0], 0, b".\0");
}

/// The attributes of all processes.
pub fn assume(images: &Images, tree: &Tree) -> Result<()> {
    let mut work = Vec::new();
    for (i, task) in images.tasks.iter().enumerate() {
        if task.is_zombie() {
            continue;
        }
        let mut program = Program::new(&tree.layout);
        attributes(&mut program, task)?;
        actions(&mut program, &task.core.sigactions)?;
        let late = late_timers(task);
        for signal in task.core.signals_s.iter().flat_map(|q| &q.signals) {
            if late.iter().any(|id| is_of_timer(&signal.siginfo, *id)) {
                continue; // the timer queues it again, with its count of overruns
            }
            threads::queue(&mut program, &tree.leaders[i], &signal.siginfo, true)?;
        }
        timers(&mut program, task)?;
        work.push((&tree.leaders[i], program));
        through_proc(task)?;
    }
    run_all(tree.layout.stub(), &mut work).map(drop)
}

/// Limits come last: a task under construction may not meet them.
pub fn limit(images: &Images, tree: &Tree) -> Result<()> {
    let mut work = Vec::new();
    for (i, task) in images.tasks.iter().enumerate() {
        let Some(limits) = task.core.rlimits.as_ref().filter(|_| !task.is_zombie()) else { continue };
        let mut program = Program::new(&tree.layout);
        for (resource, limit) in limits.rlimits.iter().enumerate() {
            let current = sys::task::rlimit(tree.leaders[i].tid, resource as u32)
                .doing(|| format!("read limit {resource} of process {}", task.pid()))?;
            let mut wanted = (limit.cur, limit.max);
            if limit.max > current.1 && !can_raise() {
                // Raising a hard limit needs CAP_SYS_RESOURCE: the process gets as much as there is.
                wanted = (limit.cur.min(current.1), current.1);
                tracing::warn!(
                    "process {}: limit {resource} cannot be raised to {} without CAP_SYS_RESOURCE; it stays at {}",
                    task.pid(),
                    limit.max,
                    current.1
                );
            }
            if current != wanted {
                let bytes = [wanted.0, wanted.1].map(u64::to_ne_bytes).concat();
                program.call_with(libc::SYS_prlimit64, &[0, resource as u64, 0, 0], 2, &bytes);
            }
        }
        work.push((&tree.leaders[i], program));
    }
    run_all(tree.layout.stub(), &mut work).map(drop)
}

/// Whether this engine may raise hard limits.
fn can_raise() -> bool {
    const CAP_SYS_RESOURCE: u64 = 24;
    let dir = crate::proc::ProcDir::current();
    let status = dir.and_then(|dir| crate::proc::status::read(&dir, &mut Vec::new()));
    status.is_ok_and(|s| s.caps.effective & 1 << CAP_SYS_RESOURCE != 0)
}

fn attributes(program: &mut Program, task: &TaskImage) -> Result<()> {
    let prctl = |program: &mut Program, args: &[u64]| program.call(libc::SYS_prctl, args);
    let core = &task.core;
    if core.child_subreaper == Some(true) {
        prctl(program, &[libc::PR_SET_CHILD_SUBREAPER as u64, 1]);
    }
    let registered = core.membarrier_registration_mask.unwrap_or(0);
    for command in (0..32).map(|n| 1u64 << n).filter(|c| u64::from(registered) & c != 0) {
        program.call(libc::SYS_membarrier, &[command, 0, 0]);
    }
    let Some(extra) = task.threads.first().map(|t| &t.extra) else { return Ok(()) };
    const PR_SET_MDWE: u64 = 65;
    const PR_SET_MEMORY_MERGE: u64 = 67;
    if let Some(lock) = extra.mcl_future {
        program.call(libc::SYS_mlockall, &[u64::from(lock)]);
    }
    if let Some(mdwe) = extra.mdwe {
        prctl(program, &[PR_SET_MDWE, u64::from(mdwe), 0, 0, 0]);
    }
    if extra.memory_merge == Some(true) {
        prctl(program, &[PR_SET_MEMORY_MERGE, 1, 0, 0, 0]);
    }
    Ok(())
}

/// The signals of an image's actions: all but SIGKILL and SIGSTOP.
fn signals() -> impl Iterator<Item = i32> {
    (1..=64).filter(|s| ![libc::SIGKILL, libc::SIGSTOP].contains(s))
}

/// The action that an image has for a signal.
pub fn action_of(actions: &[SaEntry], signal: i32) -> Option<&SaEntry> {
    signals().zip(actions).find(|(s, _)| *s == signal).map(|(_, action)| action)
}

/// An action as the kernel takes it.
pub fn raw_action(action: &SaEntry) -> Vec<u8> {
    [action.sigaction, action.flags, action.restorer, action.mask].map(u64::to_ne_bytes).concat()
}

fn actions(program: &mut Program, actions: &[SaEntry]) -> Result<()> {
    for (signal, action) in signals().zip(actions) {
        // The batches themselves end with SIGTRAP: its action is the last thing set. SIGCHLD is ignored up to here.
        let fresh = action.sigaction == 0 && action.flags == 0 && action.mask == 0;
        if signal != libc::SIGTRAP && (!fresh || signal == libc::SIGCHLD) {
            program.call_with(libc::SYS_rt_sigaction, &[signal as u64, 0, 0, 8], 1, &raw_action(action));
        }
    }
    Ok(())
}

fn timers(program: &mut Program, task: &TaskImage) -> Result<()> {
    let Some(timers) = &task.core.timers else { return Ok(()) };
    let armed = |t: &ItimerEntry| (t.isec, t.iusec, t.vsec, t.vusec) != (0, 0, 0, 0);
    for (which, timer) in [&timers.real, &timers.virt, &timers.prof].into_iter().enumerate() {
        if armed(timer) {
            let (mut seconds, mut micros) = (timer.vsec, timer.vusec);
            // It has run out and stands still until its pending signal is taken: it runs out again at once.
            if (seconds, micros) == (0, 0) {
                micros = 1;
            }
            // To timers of CPU time the kernel adds a tick when they are set.
            let tick = if which == 0 { 0 } else { tick_micros() };
            if seconds * 1_000_000 + micros > tick {
                let left = seconds * 1_000_000 + micros - tick;
                (seconds, micros) = (left / 1_000_000, left % 1_000_000);
            }
            let bytes = [timer.isec, timer.iusec, seconds, micros].map(u64::to_ne_bytes).concat();
            program.call_with(libc::SYS_setitimer, &[which as u64, 0, 0], 1, &bytes);
        }
    }
    posix_timers(program, task, &timers.posix)
}

/// The timers whose signal is pending for the process: they run out again at once, and so queue it themselves.
fn late_timers(task: &TaskImage) -> Vec<u32> {
    let timers = task.core.timers.iter().flat_map(|t| &t.posix);
    let queued = |id: u32| task.core.signals_s.iter().flat_map(|q| &q.signals).any(|s| is_of_timer(&s.siginfo, id));
    timers.map(|t| t.it_id).filter(|id| queued(*id)).collect()
}

/// Whether a queued signal is that of a timer: si_code SI_TIMER, and its id after it.
fn is_of_timer(siginfo: &[u8], id: u32) -> bool {
    const SI_TIMER: i32 = -2;
    siginfo.get(8..12) == Some(&SI_TIMER.to_ne_bytes()[..]) && siginfo.get(16..20) == Some(&id.to_ne_bytes()[..])
}

/// The length of a tick, in microseconds: the resolution of the coarse clock.
fn tick_micros() -> u64 {
    let coarse = nix::time::ClockId::CLOCK_MONOTONIC_COARSE;
    nix::time::clock_getres(coarse).map_or(0, |tick| tick.tv_nsec() as u64 / 1000)
}

/// POSIX timers keep their ids: the kernel gives the ids asked for (Linux 6.15), or it counts them up and those in
/// between are made and deleted.
fn posix_timers(program: &mut Program, task: &TaskImage, timers: &[PosixTimerEntry]) -> Result<()> {
    const PR_TIMER_CREATE_RESTORE_IDS: u64 = 77;
    if timers.is_empty() {
        return Ok(());
    }
    let mut timers: Vec<&PosixTimerEntry> = timers.iter().collect();
    timers.sort_by_key(|t| t.it_id);
    let late = late_timers(task);
    let chooses = crate::check::kernel::get().timer_ids;
    if chooses {
        program.call(libc::SYS_prctl, &[PR_TIMER_CREATE_RESTORE_IDS, 1, 0, 0, 0]);
    }
    const MOST: u32 = 1 << 20;
    let mut next = 0;
    for timer in timers {
        if !chooses && timer.it_id > MOST {
            let what = format!("process {}: the timer id {} is out of reach", task.pid(), timer.it_id);
            return Err(Error::state(what).with_help("Linux 6.15 lets timers choose their ids"));
        }
        while !chooses && next < timer.it_id {
            create_timer(program, timer, next);
            program.call(libc::SYS_timer_delete, &[u64::from(next)]);
            next += 1;
        }
        create_timer(program, timer, timer.it_id);
        next = timer.it_id + 1;
        let mut value = [timer.isec, timer.insec, timer.vsec, timer.vnsec];
        if late.contains(&timer.it_id) {
            [value[2], value[3]] = [0, 1];
        }
        if value != [0; 4] {
            let bytes = value.map(u64::to_ne_bytes).concat();
            program.call_with(libc::SYS_timer_settime, &[u64::from(timer.it_id), 0, 0, 0], 2, &bytes);
        }
    }
    if chooses {
        program.call(libc::SYS_prctl, &[PR_TIMER_CREATE_RESTORE_IDS, 0, 0, 0, 0]);
    }
    Ok(())
}

fn create_timer(program: &mut Program, timer: &PosixTimerEntry, id: u32) {
    // struct sigevent: value, signal, notify, thread id; 64 bytes
    let mut event = Vec::with_capacity(64);
    event.extend_from_slice(&timer.sival_ptr.to_ne_bytes());
    event.extend_from_slice(&timer.si_signo.to_ne_bytes());
    event.extend_from_slice(&timer.it_sigev_notify.to_ne_bytes());
    event.extend_from_slice(&timer.notify_thread_id.unwrap_or(0).to_ne_bytes());
    event.resize(64, 0);
    let batch = program.room(1, 128);
    let event = batch.put(&event);
    let place = batch.put(&id.to_ne_bytes());
    batch.call(libc::SYS_timer_create, &[u64::from(timer.clock_id), event.0, place.0]);
}

/// What is set by writing to the task's files in /proc.
fn through_proc(task: &TaskImage) -> Result<()> {
    let pid = task.pid();
    let set = |file: &str, wanted: String| -> std::io::Result<()> {
        let path = format!("/proc/{pid}/{file}");
        if std::fs::read_to_string(&path)?.trim() != wanted {
            std::fs::write(&path, wanted)?;
        }
        Ok(())
    };
    if let Some(adj) = task.core.oom_score_adj
        && let Err(e) = set("oom_score_adj", adj.to_string())
    {
        tracing::warn!("the oom_score_adj {adj} of process {pid} cannot be set: {e}");
    }
    if let Some(filter) = task.threads.first().and_then(|t| t.extra.coredump_filter) {
        set_filter(pid, filter).doing(|| format!("set the core dump filter of {pid}"))?;
    }
    Ok(())
}

/// The file shows the filter in hexadecimal and takes it so only with a prefix.
fn set_filter(pid: sys::Pid, filter: u32) -> std::io::Result<()> {
    let path = format!("/proc/{pid}/coredump_filter");
    match std::fs::read_to_string(&path)?.trim() == format!("{filter:08x}") {
        true => Ok(()),
        false => std::fs::write(&path, format!("{filter:#x}")),
    }
}

/// After its credentials, which reset it: whether a process may dump core and be traced.
pub fn dumpable(images: &Images, tree: &Tree) -> Result<()> {
    const USER: i32 = 1;
    let mut work = Vec::new();
    for (i, task) in images.tasks.iter().enumerate() {
        let Some(live) = &task.live else { continue };
        let mut program = Program::new(&tree.layout);
        match live.mm.dumpable {
            Some(wanted @ 0..=USER) => {
                program.call(libc::SYS_prctl, &[libc::PR_SET_DUMPABLE as u64, wanted as u64]);
            }
            // 2 (root only) cannot be asked for: the kernel gives it by suid_dumpable. The stricter value is safe.
            Some(_) => program.call(libc::SYS_prctl, &[libc::PR_SET_DUMPABLE as u64, 0]),
            None => {}
        }
        work.push((&tree.leaders[i], program));
    }
    run_all(tree.layout.stub(), &mut work).map(drop)
}
