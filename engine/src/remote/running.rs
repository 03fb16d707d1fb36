//! A thread that runs for us, and its stops: those that it was told, and those of others.
//!
//! Whatever a thread stops for, it stands still and can be looked at: a stop by somebody else's signal is as good as
//! our own. What it must not do is go on from where it waits to be stopped, as there its way home begins.
//!
//! A signal that stops its process is let through: the kernel then knows of the stop, whatever becomes of us, takes it
//! back when SIGCONT comes, and stops all threads when they are let go. Meanwhile they run as we resume them.

use super::Seized;
use crate::error::{Doing, Error, Result};
use crate::proc::{ProcDir, status};
use crate::sys;
use crate::sys::ptrace::{self, Event};
use stasis_arch::native::Regs;

/// The signals that stop a process and can be caught, bit n-1 for signal n.
const STOPS: u64 = bit(libc::SIGTSTP) | bit(libc::SIGTTIN) | bit(libc::SIGTTOU);

const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

impl Seized {
    /// Lets the thread run.
    pub(super) fn resume(&mut self) -> Result<()> {
        (self.halted, self.asked) = (false, false);
        ptrace::cont(self.tid(), 0).doing(|| format!("resume task {}", self.tid()))
    }

    /// Stops the running thread again and returns where it stands.
    pub(super) fn halt(&mut self) -> Result<Regs> {
        self.ask_to_halt()?;
        self.await_halt()
    }

    /// Tells the running thread to stop. One that has stopped by itself is not told: it would stop again as soon as it
    /// is resumed, before it does anything, and so on for ever (a group stop is reported twice to a new tracer).
    pub(super) fn ask_to_halt(&mut self) -> Result<()> {
        if self.halted || self.next_stop(false)? {
            return Ok(());
        }
        self.asked = true;
        self.interrupt()
    }

    fn interrupt(&self) -> Result<()> {
        ptrace::interrupt(self.tid()).doing(|| format!("interrupt task {}", self.tid()))
    }

    /// Waits until a thread that was told to stop has done so; returns where it stands.
    pub(super) fn await_halt(&mut self) -> Result<Regs> {
        while !self.halted {
            self.next_stop(true)?;
        }
        ptrace::regs(self.tid()).doing(|| format!("read the registers of task {}", self.tid()))
    }

    /// Where the running thread stands, if it has stopped without being told: by a signal that cannot be blocked, by a
    /// group stop (which is reported twice to a new tracer) or by its end.
    pub(super) fn stray_stop(&mut self) -> Result<Option<Regs>> {
        if self.next_stop(false)? { self.await_halt().map(Some) } else { Ok(None) }
    }

    /// Takes the next report of the thread, if there is one: whether it has stopped.
    fn next_stop(&mut self, block: bool) -> Result<bool> {
        let report = match ptrace::wait(self.tid(), block) {
            // Killed with its process, and waited for already.
            Err(sys::Errno::ECHILD) => Some((self.tid(), Event::Killed(libc::SIGKILL))),
            other => other.doing(|| format!("wait for task {}", self.tid()))?,
        };
        match report {
            None => {}
            Some((_, Event::Stopped { signal, event: ptrace::EVENT_STOP })) => {
                self.note_standing(signal);
                self.halted = true;
                self.asked = false;
            }
            Some((_, Event::Stopped { signal, event: 0 })) if !self.passing && signal != libc::SIGSTOP => {
                self.deferred.push(signal);
                self.halted = true;
            }
            Some((_, Event::Stopped { signal, event })) => self.pass(signal, event)?,
            Some(_) => {
                self.gone = true;
                return Err(Error::state(format!("task {} died while it was frozen", self.tid())));
            }
        }
        Ok(self.halted)
    }

    /// Lets the thread go on from a stop that is not the one that it may have been told.
    fn pass(&mut self, signal: i32, event: i32) -> Result<()> {
        // The kernel may have taken this one for it (ptrace_stop clears JOBCTL_TRAP_STOP).
        if self.asked {
            self.interrupt()?;
        }
        ptrace::cont(self.tid(), if event == 0 { signal } else { 0 }).doing(|| format!("resume task {}", self.tid()))
    }

    /// Queues again what arrived while it ran for us, now that it and its process stand still: so it is in a dump.
    pub(super) fn requeue(&mut self) {
        if self.deferred.is_empty() {
            return;
        }
        // A stop empties the queue of SIGCONT: one that is there came after it.
        let void = if self.is_continued() { STOPS } else { 0 };
        for signal in self.deferred.drain(..).collect::<Vec<_>>() {
            if bit(signal) & void == 0 {
                // A signal for the whole process goes there again through any of its threads.
                let _ = nix::sys::signal::kill(self.tid(), nix::sys::signal::Signal::try_from(signal).ok());
            }
        }
    }

    fn is_continued(&self) -> bool {
        let status = ProcDir::open(self.tid()).ok().and_then(|dir| status::read(&dir, &mut Vec::new()).ok());
        status.is_some_and(|s| (s.signals.pending | s.signals.shared_pending) & bit(libc::SIGCONT) != 0)
    }
}
