//! The threads stage: every thread is cloned with its id, and each gives itself what only it can.

use super::creds;
use super::crew::{Member, Program, adopt_newborn, run_all};
use super::load::{Images, TaskImage, ThreadImage};
use super::tree::{OPTIONS, Tree};
use crate::error::{Doing, Error, Result};
use crate::image::proto::ThreadCoreEntry;
use crate::sys::clone::CloneArgs;
use crate::sys::ptrace::{self, options};
use crate::sys::task::SchedAttr;
use crate::sys::{self, Errno};
use zerocopy::IntoBytes;

const THREAD: u64 = (libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM
    | libc::CLONE_PTRACE) as u64;

/// Clones the threads of all processes. The kernel attaches us to each at its birth, by CLONE_PTRACE and not by an
/// event: so a leader makes all its threads without a stop.
pub fn spawn(images: &Images, tree: &mut Tree) -> Result<()> {
    for (i, task) in images.tasks.iter().enumerate() {
        if others(task).next().is_none() {
            continue;
        }
        let leader = &tree.leaders[i];
        ptrace::set_options(leader.tid, OPTIONS & !options::TRACE_CHILDREN)
            .doing(|| format!("keep process {} from stopping at each birth", task.pid()))?;
        let mut program = Program::new(&tree.layout);
        for thread in others(task) {
            let batch = program.room(1, 144);
            let set_tid = batch.put(&thread.tid.as_raw().to_ne_bytes());
            let args = CloneArgs { flags: THREAD, set_tid: set_tid.0, set_tid_size: 1, ..CloneArgs::default() };
            let args = batch.put(args.as_bytes());
            batch.call_for(libc::SYS_clone3, &[args.0, size_of::<CloneArgs>() as u64], thread.tid.as_raw().into());
        }
        run_all(tree.layout.stub(), &mut [(leader, program)]).map_err(|e| explain(e, task))?;
        let threads = others(task).map(|thread| adopt_newborn(thread.tid, leader.regs())).collect::<Result<_>>()?;
        ptrace::set_options(leader.tid, OPTIONS)
            .doing(|| format!("have process {} stop at births again", task.pid()))?;
        tree.threads[i] = threads;
    }
    Ok(())
}

fn explain(error: Error, task: &TaskImage) -> Error {
    match error {
        Error::Call { errno: Errno::EEXIST, .. } => {
            Error::state(format!("a thread id of process {} is taken", task.pid()))
                .with_help("wait until the task that has it is gone, or restore in a new pid namespace")
        }
        other => other,
    }
}

/// The threads besides the leader.
pub fn others(task: &TaskImage) -> impl Iterator<Item = &ThreadImage> {
    task.threads.iter().filter(move |t| t.tid != task.pid())
}

/// Each thread of the tree with its image and its program: the leader's is the process' own.
pub fn each<'t>(images: &'t Images, tree: &'t Tree) -> Vec<(&'t Member, &'t ThreadImage, Program)> {
    let mut all = Vec::new();
    for (i, task) in images.tasks.iter().enumerate() {
        if let Some(leader) = task.threads.first().filter(|t| t.tid == task.pid()) {
            all.push((&tree.leaders[i], leader, Program::new(&tree.layout)));
        }
        for (n, (member, thread)) in tree.threads[i].iter().zip(others(task)).enumerate() {
            all.push((member, thread, Program::of_thread(&tree.layout, n)));
        }
    }
    all
}

/// Gives each thread its attributes: what needs privileges first, then its credentials.
pub fn dress(images: &Images, tree: &Tree, defaults: &Defaults) -> Result<()> {
    let mut work = Vec::new();
    for (member, image, mut program) in each(images, tree) {
        from_outside(member, image, defaults)?;
        from_inside(&mut program, member, image, defaults)?;
        work.push((member, program));
    }
    run_all(tree.layout.stub(), &mut work).map(drop)
}

/// What every new task has from the engine.
pub struct Defaults {
    sched: SchedAttr,
    io_priority: i32,
    affinity: Vec<u8>,
    timer_slack: u64,
    /// Its credentials.
    pub creds: creds::Current,
}

impl Defaults {
    /// Reads the engine's own.
    pub fn read() -> Result<Defaults> {
        let me = nix::unistd::gettid();
        let doing = || "read the engine's own attributes";
        let dir = crate::proc::ProcDir::current()?;
        Ok(Defaults {
            sched: sys::task::sched_attr(me).doing(doing)?,
            io_priority: sys::task::io_priority(me).doing(doing)?,
            affinity: sys::task::affinity(me).doing(doing)?,
            timer_slack: crate::proc::task::timer_slack(&dir, &mut Vec::new())?,
            creds: creds::Current::read(&dir)?,
        })
    }
}

/// Scheduling, I/O priority and CPUs can be set from outside, and only where they differ.
fn from_outside(member: &Member, image: &ThreadImage, defaults: &Defaults) -> Result<()> {
    let tid = member.tid;
    let extra = &image.extra;
    let core = thread_core(image)?;
    // The kernel always says a slice (from Linux 6.12); images of CRIU have none.
    let images_know = extra.affinity.is_some();
    let wanted = SchedAttr {
        size: defaults.sched.size,
        policy: core.sched_policy.unwrap_or(defaults.sched.policy),
        flags: extra.sched_flags.unwrap_or(0),
        nice: core.sched_nice.unwrap_or(defaults.sched.nice),
        priority: core.sched_prio.unwrap_or(0),
        runtime: extra.sched_runtime.unwrap_or(if images_know { 0 } else { defaults.sched.runtime }),
        deadline: extra.sched_deadline.unwrap_or(0),
        period: extra.sched_period.unwrap_or(0),
        util_min: defaults.sched.util_min,
        util_max: defaults.sched.util_max,
    };
    if wanted != defaults.sched {
        sys::task::set_sched_attr(tid, &wanted).doing(|| format!("set the scheduling of task {tid}"))?;
    }
    if let Some(affinity) = extra.affinity.as_ref().filter(|a| **a != defaults.affinity) {
        // CPUs of another machine that are not here cannot be allowed.
        if let Err(e) = sys::task::set_affinity(tid, affinity) {
            tracing::warn!("the CPUs of task {tid} cannot be set: {e}");
        }
    }
    let io_priority = extra.ioprio.unwrap_or(0);
    if io_priority != defaults.io_priority {
        sys::task::set_io_priority(tid, io_priority).doing(|| format!("set the I/O priority of task {tid}"))?;
    }
    Ok(())
}

fn thread_core(image: &ThreadImage) -> Result<&ThreadCoreEntry> {
    image.core.thread_core.as_ref().ok_or_else(|| Error::state(format!("core-{}.img lacks its thread", image.tid)))
}

/// What a thread does itself.
fn from_inside(program: &mut Program, member: &Member, image: &ThreadImage, defaults: &Defaults) -> Result<()> {
    const SS_DISABLE: u32 = libc::SS_DISABLE as u32;
    const DEFAULT_SLACK: u64 = 50_000;
    let core = thread_core(image)?;
    let clear_tid = crate::core_image::clear_tid(&image.core)?;
    if let Some(sas) = core.sas.as_ref().filter(|s| s.ss_flags & SS_DISABLE == 0 && s.ss_size > 0) {
        // stack_t: an address, flags of 32 bits, padding, a size.
        let flags = [sas.ss_flags.to_ne_bytes(), [0; 4]].concat();
        let stack = [&sas.ss_sp.to_ne_bytes()[..], &flags, &sas.ss_size.to_ne_bytes()].concat();
        program.call_with(libc::SYS_sigaltstack, &[0, 0], 0, &stack);
    }
    if core.futex_rla_len != 0 {
        program.call(libc::SYS_set_robust_list, &[core.futex_rla, u64::from(core.futex_rla_len)]);
    }
    program.call(libc::SYS_set_tid_address, &[clear_tid]);
    if let Some(rseq) = core.rseq_entry.as_ref().filter(|r| r.rseq_abi_pointer != 0) {
        let (pointer, size, signature) = (rseq.rseq_abi_pointer, rseq.rseq_abi_size, rseq.signature);
        program.call(libc::SYS_rseq, &[pointer, u64::from(size), 0, u64::from(signature)]);
    }
    if let Some(comm) = &core.comm {
        set_name(program, comm);
    }
    let slack = image.extra.timer_slack_ns.unwrap_or(DEFAULT_SLACK);
    if slack != defaults.timer_slack {
        program.call(libc::SYS_prctl, &[libc::PR_SET_TIMERSLACK as u64, slack]);
    }
    told(program, image);
    let queued = core.signals_p.as_ref().map(|q| q.signals.as_slice()).unwrap_or_default();
    for signal in queued {
        queue(program, member, &signal.siginfo, false)?;
    }
    Ok(())
}

/// What the image tells beyond CRIU's messages.
fn told(program: &mut Program, image: &ThreadImage) {
    const PR_MCE_KILL_SET: u64 = 1;
    const ARCH_SET_CPUID: u64 = 0x1012;
    let extra = &image.extra;
    if let Some(personality) = extra.personality {
        program.call(libc::SYS_personality, &[u64::from(personality)]);
    }
    if let Some(policy) = extra.mce_kill {
        program.call(libc::SYS_prctl, &[libc::PR_MCE_KILL as u64, PR_MCE_KILL_SET, u64::from(policy), 0, 0]);
    }
    if let Some(tsc) = extra.tsc {
        program.call(libc::SYS_prctl, &[libc::PR_SET_TSC as u64, u64::from(tsc)]);
    }
    if let Some(nr) = stasis_arch::native::NR_ARCH_PRCTL.filter(|_| extra.cpuid_faults == Some(true)) {
        program.call(nr, &[ARCH_SET_CPUID, 0]);
    }
}

/// The last steps of each thread: after them it has no more rights than it had.
pub fn restrict(images: &Images, tree: &Tree, creds: &creds::Current) -> Result<()> {
    let mut work = Vec::new();
    for (member, image, mut program) in each(images, tree) {
        let core = thread_core(image)?;
        if let Some(wanted) = &core.creds {
            creds::set(&mut program, wanted, creds);
        }
        if let Some(signal) = core.pdeath_sig {
            program.call(libc::SYS_prctl, &[libc::PR_SET_PDEATHSIG as u64, u64::from(signal)]);
        }
        work.push((member, program));
    }
    run_all(tree.layout.stub(), &mut work).map(drop)
}

/// Sets a task's name.
pub fn set_name(program: &mut Program, comm: &[u8]) {
    let mut name = comm.to_vec();
    name.truncate(15);
    name.push(0);
    program.call_with(libc::SYS_prctl, &[libc::PR_SET_NAME as u64, 0], 1, &name);
}

/// The number of a queued signal; 0 where the record is too short to hold one.
pub fn signal_of(siginfo: &[u8]) -> i32 {
    siginfo.first_chunk().map_or(0, |number| i32::from_ne_bytes(*number))
}

/// Whether the kernel treats a signal as that of a fault.
pub fn is_synchronous(signal: i32) -> bool {
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGTRAP, libc::SIGFPE, libc::SIGSYS].contains(&signal)
}

/// Queues a signal again: for the process, or for the thread that runs the program.
pub fn queue(program: &mut Program, member: &Member, siginfo: &[u8], shared: bool) -> Result<()> {
    let mut raw = siginfo.to_vec();
    raw.resize(128, 0);
    let signal = signal_of(&raw);
    if !(1..=64).contains(&signal) {
        return Err(Error::state(format!("the images hold the impossible signal {signal} for task {}", member.tid)));
    }
    if is_synchronous(signal) || signal == libc::SIGSTOP {
        return Ok(()); // at the release
    }
    let (tid, signal) = (member.tid.as_raw() as u64, signal as u64);
    if shared {
        program.call_with(libc::SYS_rt_sigqueueinfo, &[tid, signal, 0], 2, &raw);
    } else {
        let tgid = tgid(member)?;
        program.call_with(libc::SYS_rt_tgsigqueueinfo, &[tgid, tid, signal, 0], 3, &raw);
    }
    Ok(())
}

fn tgid(member: &Member) -> Result<u64> {
    let dir = crate::proc::ProcDir::open(member.tid)?;
    let status = crate::proc::status::read(&dir, &mut Vec::new())?;
    Ok(status.ids.tgid.as_raw() as u64)
}
