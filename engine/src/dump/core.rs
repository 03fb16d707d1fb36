//! The core images: one a thread, with its registers and everything that belongs to it; what belongs to the process is
//! in its leader's.

use super::cores::CoreWriter;
use super::freeze::{Process, Thread};
use super::inside::{OfProcess, OfThread, SIGNALS, TimeValue};
use super::queues::Queues;
use crate::core_image;
use crate::error::{Doing, Error, Result};
use crate::image::proto::{
    CoreEntry, CredsEntry, ItimerEntry, PosixTimerEntry, RlimitEntry, RseqEntry, SaEntry, SeccompMode,
    StasisRestartEntry, StasisTaskEntry, TaskCoreEntry, TaskKobjIdsEntry, TaskRlimitsEntry, TaskTimersEntry,
    ThreadCoreEntry, ThreadSasEntry,
};
use crate::proc::status::Status;
use crate::proc::task;
use crate::proc::timers::{Notify, Target};
use crate::sys::Pid;
use crate::sys::ptrace;
use stasis_arch::native;
use stasis_arch::state::State;

/// The states of a task in its core image.
pub mod state {
    /// Runs.
    pub const ALIVE: u32 = 1;
    /// Is stopped.
    pub const STOPPED: u32 = 3;
    /// Has exited and not been waited for.
    pub const ZOMBIE: u32 = 6;
}

/// CRIU numbers control group sets from 1; all tasks are in the first as long as control groups are not dumped.
const CGROUP_SET: u32 = 1;

/// What the core images of a process are made from.
pub struct Sources<'a> {
    /// The process.
    pub process: &'a Process,
    /// What the process told.
    pub inside: &'a OfProcess,
    /// What each of its threads told.
    pub threads: &'a [OfThread],
    /// The numbers of what it shares.
    pub ids: TaskKobjIdsEntry,
    /// For each thread its seccomp mode and last filter.
    pub seccomp: &'a [(SeccompMode, Option<u32>)],
}

/// What the images of a process' threads hold beside the core images.
#[derive(Default)]
pub struct Extras {
    /// Interrupted calls as the kernel left them.
    pub restarts: Vec<StasisRestartEntry>,
    /// What CRIU's messages have no field for.
    pub tasks: Vec<StasisTaskEntry>,
    /// The queued signals that the core images hold.
    pub queues: Queues,
}

/// Makes the images of a live process; the core images go to `writer`.
pub fn of_process(sources: &Sources<'_>, writer: &CoreWriter<'_>) -> Result<Extras> {
    let process = sources.process;
    let mut extras = Extras { queues: Queues::first(process)?, ..Extras::default() };
    let mut state = State::default();
    let personality = sources.threads.first().map_or(0, |t| t.personality);
    // Threads get what their leader has before they are made, unless they could not leave it.
    let alike = sources.threads.iter().all(|t| t.personality == personality);
    let inherited = (alike || !native::STAYS_LINUX32).then_some(personality);
    if sources.inside.has_ldt {
        let reason = "its local descriptor table (modify_ldt) is not supported";
        return Err(Error::unsupported(format!("process {}", process.pid), reason));
    }
    for (i, thread) in process.threads.iter().enumerate() {
        let tid = thread.seized.tid();
        let of_thread = &sources.threads[i];
        ptrace::state(tid, &mut state).doing(|| format!("read the extended state of task {tid}"))?;
        let regs = thread.seized.regs();
        if let Some(syscall) = thread.seized.syscall() {
            extras.restarts.push(StasisRestartEntry {
                tid: tid.as_raw() as u32,
                syscall,
                result: regs.result(),
                ip: regs.ip(),
                argument: native::HIDES_CALLS.then(|| regs.argument(0)),
            });
        }
        let mut thread_core = thread_core(thread, of_thread);
        thread_core.signals_p = Some(extras.queues.of_thread(i));
        (thread_core.seccomp_mode, thread_core.seccomp_filter) = match sources.seccomp[i] {
            (SeccompMode::Disabled, _) => (None, None),
            (mode, filter) => (Some(mode as i32), filter),
        };
        let leads = i == 0;
        let tc = if leads { Some(task_core(sources, &extras.queues)?) } else { None };
        if !leads || process.has_dead_leader() {
            thread_core.blk_sigset = Some(thread.seized.mask());
        }
        refuse(tid, &state)?;
        let mut core = CoreEntry { tc, thread_core: Some(thread_core), ..core_image::new() };
        let mut extra = extra(thread, leads.then_some(sources))?;
        core_image::save(&mut core, &mut extra, of_thread.clear_tid, &regs.rewound(false), &state)?;
        writer.put(tid, core)?;
        told(&mut extra, of_thread, inherited);
        extras.tasks.push(extra);
    }
    Ok(extras)
}

/// The image of a zombie.
pub fn of_zombie(process: &Process) -> CoreEntry {
    let tc = TaskCoreEntry {
        task_state: state::ZOMBIE,
        exit_code: process.stat.exit_code as u32,
        comm: process.stat.comm.clone(),
        blk_sigset: process.status.signals.blocked,
        sigactions: ignored(process.status.signals.ignored),
        ..TaskCoreEntry::default()
    };
    let thread_core = ThreadCoreEntry { creds: Some(creds(&process.status, 0)), ..ThreadCoreEntry::default() };
    CoreEntry { tc: Some(tc), thread_core: Some(thread_core), ..core_image::new() }
}

/// Whether a process runs or is stopped, and the signal that stopped it where it is known.
pub fn standing(process: &Process, queues: &Queues) -> (u32, Option<u32>) {
    let leader = &process.threads[0];
    let stopped = leader.outside.status.state == b'T' || leader.seized.stopped_by().is_some();
    match stopped && !queues.continues() {
        true => (state::STOPPED, leader.seized.stopped_by()),
        false => (state::ALIVE, None),
    }
}

fn task_core(sources: &Sources<'_>, queues: &Queues) -> Result<TaskCoreEntry> {
    let process = sources.process;
    let leader = &process.threads[0];
    let mut buffer = Vec::new();
    let inside = sources.inside;
    let (task_state, stop_signo) = standing(process, queues);
    Ok(TaskCoreEntry {
        task_state,
        // Of a leader that has exited while its threads live on.
        exit_code: if process.has_dead_leader() { process.stat.exit_code as u32 } else { 0 },
        personality: sources.threads.first().map_or(0, |t| t.personality),
        flags: process.stat.flags,
        blk_sigset: match process.has_dead_leader() {
            true => process.status.signals.blocked,
            false => leader.seized.mask(),
        },
        comm: process.status.name.clone(),
        timers: Some(timers(inside)),
        rlimits: Some(rlimits(inside)),
        cg_set: None,
        signals_s: Some(queues.of_process()),
        old_seccomp_mode: None,
        old_seccomp_filter: None,
        loginuid: Some(task::login_uid(&process.dir, &mut buffer)?),
        oom_score_adj: Some(i32::from(task::oom_score_adj(&process.dir, &mut buffer)?)),
        sigactions: actions(inside),
        child_subreaper: Some(inside.subreaper),
        blk_sigset_extended: None,
        stop_signo,
        membarrier_registration_mask: (inside.membarrier != 0).then_some(inside.membarrier),
    })
}

/// What CRIU's messages lack for a zombie.
pub fn extra_of_zombie(process: &Process) -> StasisTaskEntry {
    let signal = process.stat.exit_signal;
    StasisTaskEntry {
        tid: process.pid.as_raw() as u32,
        exit_signal: (signal != libc::SIGCHLD && signal >= 0).then_some(signal as u32),
        ..StasisTaskEntry::default()
    }
}

/// What is known of a zombie's actions: which signals it ignored.
fn ignored(set: u64) -> Vec<SaEntry> {
    let fixed = [libc::SIGKILL, libc::SIGSTOP];
    let action = |signal: i32| SaEntry {
        sigaction: if set & 1 << (signal - 1) != 0 { libc::SIG_IGN as u64 } else { 0 },
        ..SaEntry::default()
    };
    (1..=SIGNALS as i32).filter(|signal| !fixed.contains(signal)).map(action).collect()
}

/// All actions but those of SIGKILL and SIGSTOP, which cannot be changed and stand in no image.
fn actions(inside: &OfProcess) -> Vec<SaEntry> {
    let fixed = [libc::SIGKILL, libc::SIGSTOP];
    (1..)
        .zip(&inside.actions)
        .filter(|(signal, _)| !fixed.contains(signal))
        .map(|(_, a)| SaEntry {
            sigaction: a.handler,
            flags: a.flags,
            restorer: a.restorer,
            mask: a.mask,
            compat_sigaction: Some(false),
            mask_extended: None,
        })
        .collect()
}

fn timers(inside: &OfProcess) -> TaskTimersEntry {
    let itimer = |(interval, value): (TimeValue, TimeValue)| ItimerEntry {
        isec: interval.0,
        iusec: interval.1,
        vsec: value.0,
        vusec: value.1,
    };
    let posix = inside.timers.iter().map(|t| PosixTimerEntry {
        it_id: t.about.id as u32,
        clock_id: t.about.clock as u32,
        si_signo: t.about.signal as u32,
        it_sigev_notify: match (t.about.notify, t.about.target) {
            (Notify::Signal, Target::Thread(_)) => libc::SIGEV_THREAD_ID as u32,
            (Notify::Signal, _) => libc::SIGEV_SIGNAL as u32,
            (Notify::None, _) => libc::SIGEV_NONE as u32,
            (Notify::Thread, _) => libc::SIGEV_THREAD as u32,
        },
        sival_ptr: t.about.value,
        overrun: t.overrun,
        isec: t.interval.0,
        insec: t.interval.1,
        vsec: t.value.0,
        vnsec: t.value.1,
        notify_thread_id: match t.about.target {
            Target::Thread(tid) => Some(tid.as_raw()),
            _ => None,
        },
    });
    let mut posix: Vec<PosixTimerEntry> = posix.collect();
    // The kernel lists the newest first.
    posix.sort_by_key(|timer| timer.it_id);
    let [real, virt, prof] = inside.itimers.map(itimer);
    TaskTimersEntry { real, virt, prof, posix }
}

fn rlimits(inside: &OfProcess) -> TaskRlimitsEntry {
    TaskRlimitsEntry { rlimits: inside.limits.iter().map(|&(cur, max)| RlimitEntry { cur, max }).collect() }
}

fn thread_core(thread: &Thread, inside: &OfThread) -> ThreadCoreEntry {
    let (head, len) = thread.outside.robust_list;
    let (sched, status) = (&thread.outside.sched, &thread.outside.status);
    let rseq = thread.seized.rseq();
    let (ss_sp, ss_flags, ss_size) = inside.altstack;
    // Whether the thread is on its alternate stack follows from its stack pointer and cannot be set.
    let ss_flags = ss_flags & !(libc::SS_ONSTACK as u32);
    ThreadCoreEntry {
        futex_rla: head.0,
        futex_rla_len: len as u32,
        sched_nice: Some(sched.nice),
        sched_policy: Some(sched.policy),
        sched_prio: (sched.priority != 0).then_some(sched.priority),
        blk_sigset: None,
        sas: Some(ThreadSasEntry { ss_sp, ss_size, ss_flags }),
        pdeath_sig: (inside.pdeath_signal != 0).then_some(inside.pdeath_signal),
        signals_p: None,
        creds: Some(creds(status, inside.securebits)),
        seccomp_mode: None,
        seccomp_filter: None,
        comm: Some(status.name.clone()),
        blk_sigset_extended: None,
        rseq_entry: (rseq.pointer != 0).then_some(RseqEntry {
            rseq_abi_pointer: rseq.pointer,
            rseq_abi_size: rseq.size,
            signature: rseq.signature,
            rseq_cs_pointer: None,
        }),
        cg_set: Some(CGROUP_SET),
    }
}

fn creds(status: &Status, secbits: u32) -> CredsEntry {
    let caps = &status.caps;
    let words = |set: u64| vec![set as u32, (set >> 32) as u32];
    let [uid, euid, suid, fsuid] = status.uid;
    let [gid, egid, sgid, fsgid] = status.gid;
    CredsEntry {
        uid,
        gid,
        euid,
        egid,
        suid,
        sgid,
        fsuid,
        fsgid,
        cap_inh: words(caps.inheritable),
        cap_prm: words(caps.permitted),
        cap_eff: words(caps.effective),
        cap_bnd: words(caps.bounding.unwrap_or(0)),
        secbits,
        groups: status.groups.clone(),
        lsm_profile: None,
        lsm_sockcreate: None,
        apparmor_data: None,
        no_new_privs: status.no_new_privs.filter(|set| *set).map(u32::from),
        cap_amb: words(caps.ambient.unwrap_or(0)),
    }
}

/// State of a thread that cannot be brought back is refused by name.
fn refuse(tid: Pid, state: &State) -> Result<()> {
    match native::state::refused(state) {
        Some(reason) => Err(Error::unsupported(format!("task {tid}"), reason)),
        None => Ok(()),
    }
}

/// What the thread told of itself and CRIU's messages lack; `domain` is inherited.
fn told(entry: &mut StasisTaskEntry, inside: &OfThread, domain: Option<u32>) {
    const MCE_KILL_DEFAULT: u32 = 2;
    const TSC_ENABLE: u32 = 1;
    const DEFAULT_SLACK: u64 = 50_000;
    entry.timer_slack_ns = Some(inside.timer_slack).filter(|&ns| ns != 0 && ns != DEFAULT_SLACK);
    entry.personality = Some(inside.personality).filter(|&p| Some(p) != domain);
    entry.mce_kill = Some(inside.mce_kill).filter(|&policy| policy != MCE_KILL_DEFAULT);
    entry.tsc = Some(inside.tsc).filter(|&tsc| tsc > TSC_ENABLE);
    entry.cpuid_faults = inside.cpuid_faults.then_some(true);
}

/// What CRIU's messages lack; fields at the kernel's default are left out.
fn extra(thread: &Thread, of_process: Option<&Sources<'_>>) -> Result<StasisTaskEntry> {
    let outside = &thread.outside;
    let mut entry = StasisTaskEntry { tid: thread.seized.tid().as_raw() as u32, ..StasisTaskEntry::default() };
    entry.ioprio = Some(outside.io_priority).filter(|&p| p != 0);
    entry.affinity = Some(outside.affinity.clone());
    let sched = &outside.sched;
    let nonzero = |value: u64| (value != 0).then_some(value);
    entry.sched_flags = nonzero(sched.flags);
    entry.sched_runtime = nonzero(sched.runtime);
    entry.sched_deadline = nonzero(sched.deadline);
    entry.sched_period = nonzero(sched.period);
    let Some(sources) = of_process else { return Ok(entry) };
    let inside = sources.inside;
    entry.mcl_future = (inside.lock_future != 0).then_some(inside.lock_future as u32);
    entry.mdwe = (inside.mdwe != 0).then_some(inside.mdwe);
    entry.memory_merge = inside.memory_merge.then_some(true);
    entry.thp_disable_flags = Some(inside.thp_disable & !1).filter(|&flags| flags != 0);
    entry.exit_signal =
        Some(sources.process.stat.exit_signal).filter(|&s| s != libc::SIGCHLD && s >= 0).map(|s| s as u32);
    entry.coredump_filter = task::coredump_filter(&sources.process.dir, &mut Vec::new())?;
    Ok(entry)
}
