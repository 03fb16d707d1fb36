//! The release stage: zombies are zombies, interrupted calls are primed, the seed is gone, and every thread has its own
//! registers; then all are let go.

use super::creds::Current;
use super::crew::{Member, Program};
use super::identity::{action_of, raw_action};
use super::load::{Images, TaskImage, ThreadImage};
use super::threads::{others, set_name};
use super::tree::{Tree, end};
use crate::core_image;
use crate::error::{Doing, Error, Result};
use crate::guardian;
use crate::sys::ptrace::{self, Event};
use crate::sys::{self, RemoteAddr};
use crate::vma::status;
use stasis_arch::native::{self, Regs};
use stasis_arch::restart;
use stasis_arch::state::State;

/// Lets every zombie exit as it once did. Their parents get no new signal: what it queues is dropped.
pub fn bury(images: &Images, tree: &mut Tree, creds: &Current) -> Result<()> {
    let zombies: Vec<usize> = (0..images.tasks.len()).filter(|&i| images.tasks[i].is_zombie()).collect();
    let parents: std::collections::HashSet<u32> = zombies.iter().map(|&i| images.tasks[i].entry.ppid).collect();
    let parents: Vec<usize> =
        (0..images.tasks.len()).filter(|&i| parents.contains(&images.tasks[i].entry.pid)).collect();
    // A parent that ignores SIGCHLD gets no zombies.
    let mut signals: Vec<u32> =
        zombies.iter().filter_map(|&i| images.tasks[i].exit_signal).filter(|s| *s > 0).collect();
    signals.push(libc::SIGCHLD as u32);
    set_actions(tree, &parents, &signals, libc::SIG_DFL as u64)?;
    for &i in &zombies {
        die(&tree.leaders[i], tree, &images.tasks[i], creds)?;
    }
    // Ignoring a signal drops it from the queue.
    set_actions(tree, &parents, &signals, libc::SIG_IGN as u64)?;
    signals.retain(|signal| *signal != libc::SIGCHLD as u32);
    set_actions(tree, &parents, &signals, libc::SIG_DFL as u64)
}

fn set_actions(tree: &Tree, members: &[usize], signals: &[u32], handler: u64) -> Result<()> {
    let action = [handler, 0, 0, 0].map(u64::to_ne_bytes).concat();
    for &i in members {
        let mut program = Program::new(&tree.layout);
        for &signal in signals {
            program.call_with(libc::SYS_rt_sigaction, &[u64::from(signal), 0, 0, 8], 1, &action);
        }
        super::crew::run_all(tree.layout.stub(), &mut [(&tree.leaders[i], program)])?;
    }
    Ok(())
}

/// Ends a process with the wait status of its image.
fn die(member: &Member, tree: &Tree, task: &TaskImage, creds: &Current) -> Result<()> {
    let status = task.core.exit_code;
    let signal = (status & 0x7f) as i32;
    let mut program = Program::new(&tree.layout);
    set_name(&mut program, &task.core.comm);
    // A signal that dumps core must not do so again.
    program.call(libc::SYS_prctl, &[libc::PR_SET_DUMPABLE as u64, 0]);
    // Up to here SIGCHLD is ignored.
    let actions = &task.core.sigactions;
    let chosen = (1..=64).filter(|s| action_of(actions, *s).is_some_and(|a| a.sigaction != 0 || *s == libc::SIGCHLD));
    for number in chosen.filter(|s| *s != signal && *s != libc::SIGTRAP) {
        if let Some(action) = action_of(actions, number) {
            program.call_with(libc::SYS_rt_sigaction, &[number as u64, 0, 0, 8], 1, &raw_action(action));
        }
    }
    if let Some(wanted) = &task.zombie_creds {
        super::creds::set(&mut program, wanted, creds);
    }
    super::crew::run_all(tree.layout.stub(), &mut [(member, program)])?;
    // An injected signal that is blocked would wait.
    let unblocked = if signal == 0 { 0 } else { 1 << (signal - 1) };
    ptrace::set_sigmask(member.tid, task.core.blk_sigset & !unblocked)
        .doing(|| format!("set the mask of process {}", member.tid))?;
    if signal == 0 {
        let (at, len) = tree.layout.batch();
        let mut batch = crate::remote::Batch::new(at, len, 4);
        batch.call(libc::SYS_exit_group, &[u64::from(status >> 8 & 0xff)]);
        return end(member, tree.layout.stub(), &batch);
    }
    // It stands at a breakpoint: the signal takes the place of SIGTRAP.
    ptrace::cont(member.tid, signal).doing(|| format!("end process {}", member.tid))?;
    loop {
        match ptrace::wait(member.tid, true).doing(|| format!("wait for the end of process {}", member.tid))? {
            Some((_, Event::Stopped { signal: again, .. })) => {
                ptrace::cont(member.tid, again).doing(|| format!("end process {}", member.tid))?;
            }
            Some(_) | None => return Ok(()),
        }
    }
}

/// Gives every thread its registers; the seed is unmapped. After this the tasks only wait to be let go.
pub fn prepare(images: &Images, tree: &Tree, leave_stopped: bool) -> Result<()> {
    for (i, task) in images.tasks.iter().enumerate() {
        if task.is_zombie() {
            continue;
        }
        let leader = task.threads.first().filter(|t| t.tid == task.pid());
        let mut threads: Vec<(&Member, &ThreadImage)> = tree.threads[i].iter().zip(others(task)).collect();
        threads.extend(leader.map(|image| (&tree.leaders[i], image)));
        if leader.is_none() {
            let (at, len) = tree.layout.batch();
            let mut batch = crate::remote::Batch::new(at, len, 4);
            let mut name = task.core.comm.clone();
            name.push(0);
            let name = batch.put(&name);
            batch.call(libc::SYS_prctl, &[libc::PR_SET_NAME as u64, name.0]);
            let mask = batch.put(&task.core.blk_sigset.to_ne_bytes());
            batch.call(libc::SYS_rt_sigprocmask, &[libc::SIG_SETMASK as u64, mask.0, 0, 8]);
            batch.call(libc::SYS_exit, &[u64::from(task.core.exit_code >> 8 & 0xff)]);
            leave_group(&tree.leaders[i], tree.layout.stub(), &batch)?;
        }
        process(images, tree, task, &threads, leave_stopped)?;
    }
    Ok(())
}

/// A leader exits while its threads live on: it stays as a zombie that nobody can wait for yet.
fn leave_group(member: &Member, stub: u64, batch: &crate::remote::Batch) -> Result<()> {
    member.start(stub, batch)?;
    let dir = crate::proc::ProcDir::open(member.tid)?;
    loop {
        let stat = crate::proc::stat::read(&dir, &mut Vec::new())?;
        if stat.state == b'Z' {
            return Ok(());
        }
        std::thread::yield_now();
    }
}

/// Prepares a process: all threads but the last keep their seed until that one has unmapped it.
fn process(
    images: &Images,
    tree: &Tree,
    task: &TaskImage,
    threads: &[(&Member, &ThreadImage)],
    leave_stopped: bool,
) -> Result<()> {
    let Some(((last, last_image), rest)) = threads.split_last() else { return Ok(()) };
    let mut fresh = State::default();
    for (member, image) in rest.iter().copied().chain([(*last, *last_image)]) {
        set_state(member, image, &mut fresh)?;
    }
    let mut finals = Vec::with_capacity(threads.len());
    for (member, image) in threads {
        finals.push(final_regs(tree, member, image, task)?);
    }
    for ((member, image), regs) in rest.iter().zip(&finals) {
        settle(member, image, task, regs)?;
    }
    if let Some(action) = action_of(&task.core.sigactions, libc::SIGTRAP).filter(|a| a.sigaction != 0 || a.flags != 0) {
        let at = tree.layout.batch().0;
        sys::mem::write(last.tid, at, &raw_action(action)).doing(|| "write the action of SIGTRAP")?;
        let args = [libc::SIGTRAP as u64, at.0, 0, 8, 0, 0];
        call_and_stop(last, tree.layout.stub() + SYSCALL_IN_STUB, libc::SYS_rt_sigaction, args)?;
    }
    for (member, image) in threads {
        queue_traps(tree, member, image, task)?;
    }
    match syscall_outside(task, last)? {
        Some(instruction) => {
            let args = [tree.layout.area, tree.layout.len(), 0, 0, 0, 0];
            call_and_stop(last, instruction.at, libc::SYS_munmap, args)?;
            instruction.clear(last)?;
        }
        None => {
            tracing::warn!("process {} keeps the restore's work area: it has no system call instruction", task.pid())
        }
    }
    if let Some(signal) = stop_signal(images, task, leave_stopped) {
        stop(last, signal)?;
    }
    settle(last, last_image, task, &finals[threads.len() - 1])
}

/// The signal that a process is stopped by when it is let go.
fn stop_signal(images: &Images, task: &TaskImage, leave_stopped: bool) -> Option<i32> {
    const STOPPED: u32 = 3;
    if leave_stopped || task.core.task_state != STOPPED {
        return (leave_stopped || is_about_to_stop(task)).then_some(libc::SIGSTOP);
    }
    let signal = task.core.stop_signo.map_or(libc::SIGSTOP, |signal| signal as i32);
    let handled = action_of(&task.core.sigactions, signal).is_some_and(|a| a.sigaction != 0);
    // The signals of terminals stop nobody whose group is orphaned: no member has a parent outside it in its session.
    let of_group = images.tasks.iter().filter(|t| t.entry.pgid == task.entry.pgid);
    let parent_of = |t: &TaskImage| images.tasks.iter().find(|p| p.entry.pid == t.entry.ppid);
    let kept = of_group.filter_map(parent_of).any(|p| p.entry.pgid != task.entry.pgid && p.entry.sid == task.entry.sid);
    Some(if handled || !kept { libc::SIGSTOP } else { signal })
}

/// Whether SIGSTOP is in a queue: no such signal can wait there while batches run, as it cannot be blocked.
fn is_about_to_stop(task: &TaskImage) -> bool {
    let own = task.threads.iter().filter_map(|t| t.core.thread_core.as_ref()).flat_map(|core| &core.signals_p);
    let mut signals = own.chain(&task.core.signals_s).flat_map(|queue| &queue.signals);
    signals.any(|s| super::threads::signal_of(&s.siginfo) == libc::SIGSTOP)
}

/// Stops a process by SIGSTOP while all its other signals are blocked, so that none of its queue is delivered before
/// it stops. Its other threads join the stop when they are let go.
fn stop(member: &Member, signal: i32) -> Result<()> {
    let tid = member.tid;
    let doing = || format!("stop process {tid}");
    let stop = nix::sys::signal::SIGSTOP;
    // A signal that is blocked would be put back into the queue.
    ptrace::set_sigmask(tid, !(1 << (signal - 1))).doing(doing)?;
    nix::sys::signal::kill(tid, stop).doing(doing)?;
    ptrace::cont(tid, 0).doing(doing)?;
    expect(tid, Event::Stopped { signal: stop as i32, event: 0 })?;
    // The tracer may name the signal that stops it.
    ptrace::cont(tid, signal).doing(doing)?;
    expect(tid, Event::Stopped { signal, event: ptrace::EVENT_STOP })
}

/// Queues the signals of faults again that were pending: a batch could not run any more. It ends with SIGTRAP, and the
/// kernel then delivers the first such signal of the queue, blocked or not (dequeue_synchronous_signal).
fn queue_traps(tree: &Tree, member: &Member, image: &ThreadImage, task: &TaskImage) -> Result<()> {
    let is_trap = |raw: &&Vec<u8>| super::threads::is_synchronous(super::threads::signal_of(raw));
    let own =
        image.core.thread_core.iter().flat_map(|c| &c.signals_p).flat_map(|q| &q.signals).map(|s| (&s.siginfo, false));
    let leads = image.tid == task.pid();
    let shared = task.core.signals_s.iter().flat_map(|q| &q.signals).filter(|_| leads).map(|s| (&s.siginfo, true));
    for (raw, shared) in own.chain(shared).filter(|(raw, _)| is_trap(raw)) {
        let at = tree.layout.batch().0;
        ptrace::set_sigmask(member.tid, u64::MAX).doing(|| format!("set the mask of task {}", member.tid))?;
        sys::mem::write(member.tid, at, raw).doing(|| "write a queued signal")?;
        let signal = super::threads::signal_of(raw) as u64;
        let (pid, tid) = (task.entry.pid.into(), member.tid.as_raw() as u64);
        let (nr, args) = match shared {
            true => (libc::SYS_rt_sigqueueinfo, [pid, signal, at.0, 0, 0, 0]),
            false => (libc::SYS_rt_tgsigqueueinfo, [pid, tid, signal, at.0, 0, 0]),
        };
        call_and_stop(member, tree.layout.stub() + SYSCALL_IN_STUB, nr, args)?;
    }
    Ok(())
}

/// Where the stub's system call instruction is.
const SYSCALL_IN_STUB: u64 = native::stub::SYSCALL as u64;

/// Makes one call and stops right after it, before any other instruction, by an interrupt that is pending while the
/// call runs: a call that waits is cut short at once, and is left as an interrupted call.
fn call_and_stop(member: &Member, at: u64, nr: i64, args: [u64; 6]) -> Result<i64> {
    let tid = member.tid;
    let doing = || format!("have task {tid} make system call {nr}");
    ptrace::set_regs(tid, &member.regs().at_call(at, nr, args)).doing(doing)?;
    ptrace::cont_to_syscall(tid).doing(doing)?;
    let entered = Event::Stopped { signal: libc::SIGTRAP | 0x80, event: 0 };
    expect(tid, entered)?;
    ptrace::interrupt(tid).doing(doing)?;
    ptrace::cont(tid, 0).doing(doing)?;
    expect(tid, Event::Stopped { signal: libc::SIGTRAP, event: ptrace::EVENT_STOP })?;
    let regs = ptrace::regs(tid).doing(doing)?;
    match regs.call_outcome(at) {
        error @ -4095..0 if ![restart::BLOCK, restart::NO_HAND, restart::SYS].contains(&error) => {
            Err(sys::Errno::from_raw(-error as i32)).doing(doing)
        }
        result => Ok(result),
    }
}

fn expect(tid: sys::Pid, wanted: Event) -> Result<()> {
    match ptrace::wait(tid, true).doing(|| format!("wait for task {tid}"))? {
        Some((_, event)) if event == wanted => Ok(()),
        other => Err(Error::state(format!("task {tid} did not stop as expected: {other:?}"))),
    }
}

/// A system call instruction outside of the seed.
struct Instruction {
    at: u64,
    /// It is ours, in the free tail of the vDSO.
    lent: bool,
}

impl Instruction {
    /// Takes it away if it is ours.
    fn clear(&self, member: &Member) -> Result<()> {
        if !self.lent {
            return Ok(());
        }
        ptrace::poke(member.tid, RemoteAddr(self.at), 0).doing(|| format!("clear the vDSO of task {}", member.tid))
    }
}

/// A system call instruction of the process itself: the vDSO's, or one that is lent to it for a moment.
fn syscall_outside(task: &TaskImage, member: &Member) -> Result<Option<Instruction>> {
    let Some(live) = &task.live else { return Ok(None) };
    let Some(vdso) = live.mm.vmas.iter().find(|v| v.status & status::VDSO != 0) else { return Ok(None) };
    let mut bytes = vec![0; (vdso.end - vdso.start) as usize];
    sys::mem::read_exact(member.tid, RemoteAddr(vdso.start), &mut bytes).doing(|| "read the vDSO")?;
    let found = bytes.windows(native::SYSCALL.len()).enumerate();
    let found =
        found.filter(|(at, word)| at.is_multiple_of(native::CODE_ALIGN) && *word == native::SYSCALL).map(|(at, _)| at);
    if let Some(at) = found.into_iter().next() {
        return Ok(Some(Instruction { at: vdso.start + at as u64, lent: false }));
    }
    const WORD: usize = 8;
    let free = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1).next_multiple_of(WORD);
    if free + WORD > bytes.len() {
        return Ok(None);
    }
    let at = vdso.start + free as u64;
    ptrace::poke_bytes(member.tid, RemoteAddr(at), &native::SYSCALL)
        .doing(|| format!("lend task {} an instruction", member.tid))?;
    Ok(Some(Instruction { at, lent: true }))
}

/// Sets a thread's extended state. `fresh` is what it has, read again for each.
fn set_state(member: &Member, image: &ThreadImage, fresh: &mut State) -> Result<()> {
    let tid = member.tid;
    ptrace::state(tid, fresh).doing(|| format!("read the extended state of task {tid}"))?;
    let state = core_image::state(&image.core, &image.extra, fresh)?;
    ptrace::set_state(tid, &state).doing(|| format!("set the extended state of task {tid}"))
}

/// The registers that a thread goes on with: an interrupted call as the kernel left it, so that the kernel decides.
fn final_regs(tree: &Tree, member: &Member, image: &ThreadImage, task: &TaskImage) -> Result<Regs> {
    let mut regs = core_image::regs(&image.core)?;
    regs.keep_privileged(member.regs());
    let Some(raw) = &image.restart else { return Ok(regs) };
    let word = |at| {
        let mut word = [0; 4];
        sys::mem::read_exact(member.tid, RemoteAddr(at), &mut word).is_ok().then_some(word)
    };
    if let Some(argument) = raw.argument {
        regs.set_result(argument as i64);
    }
    regs.put_in_call(raw.syscall, raw.ip, raw.result, word);
    if raw.result == restart::BLOCK && !prime(tree, member, &regs)? {
        // What is left of its time is not known: the call begins again.
        regs.set_result(restart::NO_HAND);
    }
    Ok(regs.given_back(handler(image, task)))
}

/// Whether a handler runs as soon as the thread is let go, and if so whether it has SA_RESTART.
fn handler(image: &ThreadImage, task: &TaskImage) -> Option<bool> {
    if !native::HIDES_CALLS {
        return None;
    }
    let own = image.core.thread_core.iter().flat_map(|core| &core.signals_p);
    let queues = own.chain(&task.core.signals_s);
    let mask = mask_of(image, task);
    let first = |queue: &crate::image::proto::SignalQueueEntry| {
        let signals = queue.signals.iter().map(|s| super::threads::signal_of(&s.siginfo));
        let actions = signals.filter(|s| (1..=64).contains(s) && mask >> (s - 1) & 1 == 0);
        let mut actions: Vec<_> = actions.filter_map(|s| Some((s, action_of(&task.core.sigactions, s)?))).collect();
        actions.sort_by_key(|(signal, _)| *signal);
        actions.into_iter().find(|(_, action)| action.sigaction > 1)
    };
    queues.into_iter().find_map(first).map(|(_, action)| action.flags & libc::SA_RESTART as u64 != 0)
}

/// Has the kernel set up the restart block of an interrupted sleep with the time that was left. False where the
/// kernel did not say how much that was.
fn prime(tree: &Tree, member: &Member, regs: &Regs) -> Result<bool> {
    let (nr, remaining_argument) = match regs.syscall() {
        Some(nr @ libc::SYS_nanosleep) => (nr, 1),
        Some(nr @ libc::SYS_clock_nanosleep) => (nr, 3),
        _ => return Ok(false),
    };
    let remaining_at = regs.argument(remaining_argument);
    let mut remaining = [0; 16];
    if remaining_at == 0 || sys::mem::read_exact(member.tid, RemoteAddr(remaining_at), &mut remaining).is_err() {
        return Ok(false);
    }
    let at = tree.layout.batch().0;
    sys::mem::write(member.tid, at, &remaining).doing(|| "write the time left of a sleep")?;
    let args = match nr {
        libc::SYS_nanosleep => [at.0, remaining_at, 0, 0, 0, 0],
        _ => [regs.argument(0), 0, at.0, remaining_at, 0, 0],
    };
    let after = call_and_stop(member, tree.layout.stub() + SYSCALL_IN_STUB, nr, args)?;
    // The time may have been over already: then the call begins again, and ends at once.
    Ok(after == restart::BLOCK)
}

/// The signals that a thread blocks.
fn mask_of(image: &ThreadImage, task: &TaskImage) -> u64 {
    let of_thread = image.core.thread_core.as_ref().and_then(|core| core.blk_sigset);
    of_thread.unwrap_or(task.core.blk_sigset)
}

/// Sets a thread's mask and registers.
fn settle(member: &Member, image: &ThreadImage, task: &TaskImage, regs: &Regs) -> Result<()> {
    let tid = member.tid;
    let mask = mask_of(image, task);
    ptrace::set_regs(tid, regs).doing(|| format!("set the registers of task {tid}"))?;
    ptrace::set_sigmask(tid, mask).doing(|| format!("set the mask of task {tid}"))
}

/// Lets all threads go. Nothing can fail from here on that would be the tree's fault.
pub fn let_go(images: &Images, tree: Tree) -> Result<()> {
    // The kernel kills what we have not let go yet when we are killed; the rest of the tree is the guardian's.
    let several = images.tasks.len() > 1;
    let together = several.then(|| guardian::together(images.tasks.iter().map(TaskImage::pid))).transpose()?;
    for (i, task) in images.tasks.iter().enumerate() {
        if task.is_zombie() {
            continue;
        }
        for member in &tree.threads[i] {
            detach(member)?;
        }
        if !task.has_dead_leader() {
            detach(&tree.leaders[i])?;
        } else {
            // Its end is reported to us once more as its tracer when the last thread ends; nobody needs that.
            let _ = ptrace::wait(tree.leaders[i].tid, false);
        }
    }
    tree.release();
    if let Some(together) = together {
        together.done();
    }
    Ok(())
}

fn detach(member: &Member) -> Result<()> {
    ptrace::detach(member.tid, 0).doing(|| format!("let task {} go", member.tid))
}
