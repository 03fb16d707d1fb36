//! A traced and stopped thread of a running process that must not notice.

use crate::error::{Doing, Error, Result};
use crate::sys::ptrace::{self, RseqConfiguration};
use crate::sys::{self, Pid, RemoteAddr};
use stasis_arch::code::Code;
use stasis_arch::native::{self, NR_RESTART, Regs, stub};
use stasis_arch::restart;
use stasis_arch::state::State;

/// A thread that we attached to and that is stopped. Holding it proves that the thread runs nothing, not that its
/// process is complete. Dropping it puts registers and mask back where they were changed, and detaches.
#[derive(Debug)]
pub struct Seized {
    tid: Pid,
    /// The registers at the stop: what the thread is given back.
    regs: Regs,
    mask: u64,
    /// Whether registers or mask of the live thread differ from what it is to be given back.
    dirty: bool,
    /// Signals that arrived while it ran for us, and were taken; they are queued again when it stands still.
    pub(super) deferred: Vec<i32>,
    pub(super) gone: bool,
    /// It has stopped, and its report was taken.
    pub(super) halted: bool,
    /// The call that it is in, where the kernel shows only that it is being restarted.
    restarted: Option<i64>,
    /// It was seen asleep in its call before it was told to stop.
    in_call: bool,
    /// Signals that arrive are delivered: it runs its own program, for a moment.
    pub(super) passing: bool,
    /// Its process is stopped, and stays so.
    stopped: bool,
    /// Its restartable sequence registration, once it was asked for.
    rseq: RseqConfiguration,
    /// What our calls would destroy of its state.
    lost: Option<State>,
    /// The signals whose handlers have SA_RESTART, bit n-1 for signal n; all, as long as nothing is known of them.
    restarting: u64,
}

/// Where a thread slept before it was told to stop: /proc/TID/syscall, proc(5). Only where the kernel hides the call
/// from a tracer.
#[derive(Debug, Clone, Copy)]
pub struct Asleep {
    first_argument: u64,
    sp: u64,
    ip: u64,
}

impl Asleep {
    /// Looks; `None` also when it runs.
    pub fn look(tid: Pid) -> Option<Asleep> {
        if !native::HIDES_CALLS {
            return None;
        }
        let text = std::fs::read_to_string(format!("/proc/{tid}/syscall")).ok()?;
        let words: Vec<u64> = text
            .split_whitespace()
            .skip(1)
            .map_while(|w| u64::from_str_radix(w.strip_prefix("0x")?, 16).ok())
            .collect();
        let [first_argument, _, _, _, _, _, sp, ip] = words[..] else { return None };
        Some(Asleep { first_argument, sp, ip })
    }
}

/// Code of 32 bits cannot be dumped.
pub fn runs_32_bit_code(tid: Pid) -> Error {
    Error::unsupported(format!("task {tid}"), "it runs 32-bit code, which is not supported yet")
}

impl Seized {
    /// Takes over the thread `tid`, which is attached and halted, and `asleep` before; `stopped` says that its process
    /// is, and stays so.
    pub fn adopt(tid: Pid, asleep: Option<Asleep>, stopped: bool) -> Result<Seized> {
        let mut regs = match ptrace::regs(tid) {
            Err(sys::Errno::ENOTSUP) => {
                mend_compat(tid);
                let _ = ptrace::detach(tid, 0);
                return Err(runs_32_bit_code(tid));
            }
            other => other.doing(|| format!("read the registers of task {tid}"))?,
        };
        let mask = ptrace::sigmask(tid).doing(|| format!("read the signal mask of task {tid}"))?;
        // Behind its call, or wound back to it.
        let same = |a: &Asleep| a.sp == regs.sp() && [0, native::SYSCALL_LEN].contains(&a.ip.wrapping_sub(regs.ip()));
        let before = asleep.filter(same);
        regs.interrupted(|at| instruction(tid, at), before.map(|a| a.first_argument));
        let mut seized = Seized {
            tid,
            regs,
            mask,
            dirty: false,
            deferred: Vec::new(),
            gone: false,
            halted: true,
            restarted: None,
            in_call: before.is_some(),
            passing: false,
            stopped,
            rseq: RseqConfiguration::default(),
            lost: None,
            restarting: u64::MAX,
        };
        seized.mend_interruption();
        seized.keep_argument();
        Ok(seized)
    }

    /// The thread's id.
    pub fn tid(&self) -> Pid {
        self.tid
    }

    /// The registers that it will go on with, an interrupted call as the kernel left it.
    pub fn regs(&self) -> &Regs {
        &self.regs
    }

    /// The mask that it will go on with.
    pub fn mask(&self) -> u64 {
        self.mask
    }

    /// The system call that the thread is in: also where an earlier interruption left it in restart_syscall(2), whose
    /// number says nothing of what is restarted.
    pub fn syscall(&self) -> Option<i64> {
        self.restarted.or(self.regs.syscall())
    }

    /// Its restartable sequence registration, as [`Seized::abort_rseq`] found it.
    pub fn rseq(&self) -> RseqConfiguration {
        self.rseq
    }

    /// Notes which handlers have SA_RESTART, bit n-1 for signal n.
    pub fn set_restarting(&mut self, signals: u64) {
        self.restarting = signals;
    }

    /// Finds out what a thread in restart_syscall(2) really waits for: lets it go back to its wait for a moment, sees
    /// where in the kernel it sleeps, and stops it again. The restart block is not touched by that.
    ///
    /// Where the kernel hides an interrupted call, a thread that stands at a sleep may be in it, with a restart block,
    /// or about to make it. One that was not seen asleep before is let go until its registers show that it is in it:
    /// until it stands at restart_syscall(2).
    pub fn resolve_restart(&mut self) -> Result<()> {
        const ROUNDS: usize = 8;
        for _ in 0..ROUNDS {
            let Some(nr) = self.regs.syscall().filter(|_| self.regs.result() == restart::BLOCK) else { break };
            if nr != NR_RESTART {
                if !native::HIDES_CALLS || self.in_call {
                    break;
                }
                self.restarted = Some(nr);
                self.run_on()?;
            } else if self.restarted.is_none() {
                let place = self.run_on()?;
                if self.regs.syscall() == Some(NR_RESTART) {
                    self.name_restart(&place);
                }
                break;
            } else {
                return Ok(());
            }
        }
        if self.regs.syscall() != Some(NR_RESTART) {
            self.restarted = None;
        }
        Ok(())
    }

    /// Lets the thread run until it sleeps in restart_syscall(2), or for a moment; says where it sleeps.
    fn run_on(&mut self) -> Result<String> {
        self.passing = true;
        self.resume()?;
        let place = self.place_of_sleep();
        let halted = self.halt();
        self.passing = false;
        self.regs = halted?;
        let place = place?;
        self.requeue();
        self.mask = ptrace::sigmask(self.tid).doing(|| format!("read the signal mask of task {}", self.tid))?;
        self.look_at_call();
        self.keep_argument();
        Ok(place)
    }

    /// Names the call that is being restarted by where it sleeps.
    fn name_restart(&mut self, place: &str) {
        let tid = self.tid;
        self.restarted = match place {
            p if p.contains("nanosleep") || p.contains("nsleep") => {
                let clock = self.regs.restarted_sleep(|at| is_time(tid, at));
                clock.map(|clock| if clock { libc::SYS_clock_nanosleep } else { libc::SYS_nanosleep })
            }
            // The call cannot begin again.
            _ if !self.regs.keeps_argument() => None,
            p if p.contains("futex") => Some(libc::SYS_futex),
            p if p.contains("poll") => native::NR_POLL,
            _ => None,
        };
        tracing::debug!("task {} restarts a call at {place}: {:?}", self.tid, self.restarted);
        if self.restarted.is_none() {
            tracing::warn!(
                "task {} is in an interrupted call that the kernel does not name: it will end with EINTR",
                self.tid
            );
        }
    }

    /// Takes in what the registers at a stop say of a call.
    fn look_at_call(&mut self) {
        let tid = self.tid;
        self.regs.interrupted(|at| instruction(tid, at), None);
    }

    /// The way home of this thread, as code for `at`.
    pub(super) fn way_home(&self, at: RemoteAddr) -> Result<Code> {
        let mut state = State::default();
        ptrace::register_sets(self.tid, stub::HOME_SETS, &mut state)
            .doing(|| format!("read the registers of task {}", self.tid))?;
        Ok(stub::way_home(at.0, &self.begun_again().unwrap_or(self.regs).rewound(true), self.mask, &state))
    }

    /// Where in the kernel the thread sleeps in restart_syscall(2): the innermost frame that says so, or nothing when
    /// it does not come to sleep.
    fn place_of_sleep(&mut self) -> Result<String> {
        const KNOWN: [&str; 4] = ["nanosleep", "nsleep", "futex", "poll"];
        let tid = self.tid;
        let read = |name| std::fs::read_to_string(format!("/proc/{tid}/{name}")).unwrap_or_default();
        let asleep = || read("syscall").starts_with(&format!("{NR_RESTART} "));
        // How often it left the processor: what is read between two equal counts is read of a thread that did not run.
        let switches = || {
            let status = read("status");
            status.lines().filter(|line| line.contains("ctxt_switches")).map(str::to_owned).collect::<Vec<_>>()
        };
        let started = std::time::Instant::now();
        while started.elapsed() < std::time::Duration::from_millis(200) {
            let before = switches();
            if asleep() {
                // The call stack tells; the wait channel alone may be too far up. A thread that is just on its way to
                // sleep shows an empty stack, or half of one.
                let stack = read("stack");
                if let Some(line) = stack.lines().find(|line| KNOWN.iter().any(|name| line.contains(name))) {
                    return Ok(line.to_owned());
                }
                // On some kernels a sleep shows no frame of its own: its functions count as the scheduler's, which
                // are left out. The same is seen for a moment of a thread that has not quite left our stop yet.
                let stopping = stack.contains("ptrace") || stack.contains("signal");
                if !stack.is_empty() && !stopping && asleep() && switches() == before {
                    return Ok("nanosleep".to_owned());
                }
            }
            if self.stray_stop()?.is_some() {
                self.resume()?;
            }
            std::thread::yield_now();
        }
        Ok(String::new())
    }

    /// Calls that end with EINTR when a tracer stops them, though no signal came, are told to restart unless a
    /// handler runs. Each was seen to do so: epoll_wait and sigtimedwait by a bare seize and detach, the others share
    /// the kernel's path (a wait that returns EINTR when a signal is pending, signal(7) "Interruption of system calls
    /// … by stop signals").
    fn mend_interruption(&mut self) {
        const EINTR: i64 = -4;
        const MENDED: [i64; 5] = [
            libc::SYS_epoll_pwait,
            libc::SYS_epoll_pwait2,
            libc::SYS_rt_sigtimedwait,
            libc::SYS_io_getevents,
            libc::SYS_futex_waitv,
        ];
        let mended =
            |nr| MENDED.contains(&nr) || native::NR_SEMAPHORES.contains(&nr) || native::NR_EPOLL_WAIT == Some(nr);
        if self.regs.result() == EINTR && self.regs.syscall().is_some_and(mended) {
            self.regs.set_result(restart::NO_HAND);
            self.dirty = true;
            // At once: it then holds also if we are killed from now on.
            let _ = ptrace::set_regs(self.tid, &self.regs);
        }
    }

    /// Where the kernel would destroy an argument of the call when it continues it, the thread is told to go on as
    /// [`Seized::going_on`] says.
    fn keep_argument(&mut self) {
        if !native::RESTART_KEEPS_ARGUMENT && self.is_restarted() {
            self.dirty = true;
            // At once: it then holds also if we are killed from now on.
            let _ = ptrace::set_regs(self.tid, &self.going_on());
        }
    }

    /// Inside a restartable sequence, moves the thread to the sequence's abort handler: that is what the kernel would
    /// do on any return from a preemption, and running a stub meanwhile would lose it (rseq(2)).
    pub fn abort_rseq(&mut self) -> Result<()> {
        self.rseq = match ptrace::rseq(self.tid) {
            Ok(rseq) => rseq,
            Err(sys::Errno::EIO | sys::Errno::EINVAL) => return Ok(()), // before Linux 5.13
            Err(e) => return Err(e).doing(|| format!("read the rseq configuration of task {}", self.tid)),
        };
        if self.rseq.pointer == 0 {
            return Ok(());
        }
        const RSEQ_CS: u64 = 8;
        let Ok(at) = sys::mem::read_word(self.tid, RemoteAddr(self.rseq.pointer + RSEQ_CS)) else { return Ok(()) };
        if at == 0 {
            return Ok(());
        }
        // struct rseq_cs: version and flags, start_ip, post_commit_offset, abort_ip.
        let mut section = [0u64; 4];
        for (i, word) in section.iter_mut().enumerate() {
            match sys::mem::read_word(self.tid, RemoteAddr(at + i as u64 * 8)) {
                Ok(value) => *word = value,
                Err(_) => return Ok(()),
            }
        }
        let [_, start, offset, abort] = section;
        if self.regs.ip().wrapping_sub(start) < offset {
            self.regs.set_ip(abort);
            self.regs.set_syscall(None);
            self.dirty = true;
        }
        Ok(())
    }

    /// Gives the thread other registers to run with, then blocks all its signals. The order matters: see the way home.
    pub(super) fn divert(&mut self, regs: &Regs) -> Result<()> {
        self.save_lost()?;
        self.dirty = true;
        ptrace::set_regs(self.tid, regs).doing(|| format!("set the registers of task {}", self.tid))?;
        ptrace::set_sigmask(self.tid, u64::MAX).doing(|| format!("block the signals of task {}", self.tid))
    }

    /// Keeps what the calls of a batch would destroy.
    fn save_lost(&mut self) -> Result<()> {
        let notes = native::state::LOST_IN_CALLS;
        if notes.is_empty() || self.lost.is_some() {
            return Ok(());
        }
        let mut state = State::default();
        ptrace::register_sets(self.tid, notes, &mut state)
            .doing(|| format!("read the vectors of task {}", self.tid))?;
        state.sets.retain(|(note, set)| native::state::is_live(*note, set));
        self.lost = Some(state);
        Ok(())
    }

    /// Lets a thread that an engine which was killed left on its way home arrive there. A stop ends its waiting, so it
    /// goes on at once.
    pub fn go_home(&mut self, leftover: &super::Leftover) -> Result<()> {
        const TRIES: u32 = 3000;
        for _ in 0..TRIES {
            if !leftover.is_inside(&self.regs) {
                self.requeue();
                return Ok(());
            }
            // What was mended belongs to our stub, whose call must end.
            self.dirty = false;
            self.resume()?;
            std::thread::sleep(std::time::Duration::from_micros(200));
            let regs = self.halt()?;
            self.escaped(&regs)?;
            if !leftover.is_inside(&self.regs) {
                self.mend_interruption();
                self.keep_argument();
                self.abort_rseq()?;
            }
        }
        Err(Error::state(format!("task {} does not come back from an earlier dump that was killed", self.tid)))
    }

    /// Notes that the thread is home again by itself and goes on from `regs`.
    pub(super) fn escaped(&mut self, regs: &Regs) -> Result<()> {
        self.regs = *regs;
        self.look_at_call();
        self.lost = None;
        self.mask = ptrace::sigmask(self.tid).doing(|| format!("read the signal mask of task {}", self.tid))?;
        self.dirty = false;
        Ok(())
    }

    /// Puts mask and registers back into the live thread. The mask first, as [`Seized::divert`] blocks it last: if we
    /// are killed between the two, the thread is still in the stub and goes home, whereas a thread that is home
    /// already would keep its signals blocked for good.
    pub(super) fn restore(&mut self) -> Result<()> {
        if self.dirty && !self.gone {
            ptrace::set_sigmask(self.tid, self.mask).doing(|| format!("give task {} its mask back", self.tid))?;
            ptrace::set_regs(self.tid, &self.going_on())
                .doing(|| format!("give task {} its registers back", self.tid))?;
            if let Some(lost) = self.lost.take() {
                ptrace::set_state(self.tid, &lost).doing(|| format!("give task {} its vectors back", self.tid))?;
            }
            self.dirty = false;
        }
        Ok(())
    }

    /// Whether it is in a call that the kernel continues by its restart block.
    fn is_restarted(&self) -> bool {
        self.regs.syscall().is_some() && self.regs.result() == restart::BLOCK
    }

    /// The registers that it goes on with. Where the kernel would destroy the first argument of a call with a restart
    /// block, the call is sent on by us as the kernel would: a dump that finds it then can tell what it was. A handler
    /// that runs first makes the call end with EINTR either way. A thread that stays stopped shows its call itself, as
    /// long as it does not go on; where the kernel hides it, it begins again.
    fn going_on(&self) -> Regs {
        if self.is_restarted() && !native::RESTART_KEEPS_ARGUMENT && !self.stopped {
            return self.regs.rewound(true);
        }
        let again = self.begun_again().filter(|_| native::HIDES_CALLS);
        again.unwrap_or(self.regs).given_back(None)
    }

    /// Of a stopped thread, its registers with a call that is to begin again rather than to be continued: nothing would
    /// name that call in restart_syscall(2) before it runs.
    fn begun_again(&self) -> Option<Regs> {
        if !self.stopped || !self.is_restarted() || self.regs.syscall() == Some(NR_RESTART) {
            return None;
        }
        let mut regs = self.regs;
        regs.set_result(restart::NO_HAND);
        Some(regs)
    }

    /// Ends an interrupted call with EINTR where a handler runs first and that is the rule, on a CPU whose kernel does
    /// not do so for registers that a tracer set. A signal that comes after this look finds the call made again.
    fn end_call(&self) -> Result<()> {
        if !native::HIDES_CALLS || self.regs.syscall().is_none() {
            return Ok(());
        }
        let dir = crate::proc::ProcDir::open(self.tid)?;
        let signals = crate::proc::status::read(&dir, &mut Vec::new())?.signals;
        let deliverable = |set: u64| set & !self.mask & signals.caught;
        let first = [deliverable(signals.pending), deliverable(signals.shared_pending)].into_iter().find(|&s| s != 0);
        let Some(first) = first else { return Ok(()) };
        let restarts = self.restarting >> first.trailing_zeros() & 1 == 1;
        ptrace::set_regs(self.tid, &self.regs.given_back(Some(restarts)))
            .doing(|| format!("end the call of task {}", self.tid))
    }

    /// Waits for the end of the thread, which was killed. As its tracer we see it before its parent does.
    pub fn reap(mut self) {
        self.gone = true;
        while let Ok(Some((_, event))) = ptrace::wait(self.tid, true) {
            if event.is_end() {
                return;
            }
        }
    }
}

/// [`Seized::mend_interruption`] of a task of another ABI.
fn mend_compat(tid: Pid) {
    let Some(abi) = native::COMPAT else { return };
    let mut set = Vec::new();
    if matches!(ptrace::register_set(tid, abi.set.note, &mut set), Ok(true)) && abi.mend(&mut set) {
        let _ = ptrace::set_state(tid, &State { sets: vec![(abi.set.note, set)], ..State::default() });
    }
}

/// Whether a time stands at `at`, as a program gives it to a sleep.
fn is_time(tid: Pid, at: u64) -> bool {
    let word = |at| sys::mem::read_word(tid, RemoteAddr(at));
    at != 0 && word(at).is_ok() && word(at.wrapping_add(8)).is_ok_and(|nanoseconds| nanoseconds < 1_000_000_000)
}

/// An instruction of a thread's program.
fn instruction(tid: Pid, at: u64) -> Option<[u8; 4]> {
    let mut word = [0; 4];
    sys::mem::read_exact(tid, RemoteAddr(at), &mut word).is_ok().then_some(word)
}

impl Drop for Seized {
    fn drop(&mut self) {
        if self.gone {
            return;
        }
        if let Err(e) = self.restore().and_then(|()| self.end_call()) {
            tracing::warn!("{e}");
        }
        self.requeue();
        // ESRCH: killed meanwhile.
        let _ = ptrace::detach(self.tid, 0);
    }
}
