//! Queued signals. They are read with everything else, and those of a tree that ends with the dump are looked at again
//! when all is written: what somebody sends meanwhile would be lost with it.

use super::core;
use super::freeze::Process;
use crate::error::{Doing, Error, Result};
use crate::image::proto::{SiginfoEntry, SignalQueueEntry};
use crate::image::{NewImageDir, kinds};
use crate::sys::ptrace::{self, RawSiginfo};
use crate::sys::{Errno, Pid};

/// The queues of a process as its core images hold them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queues {
    /// That of the process.
    pub shared: Vec<RawSiginfo>,
    /// Those of its threads, in their order.
    pub own: Vec<Vec<RawSiginfo>>,
}

impl Queues {
    /// Reads the queues of a live process, of its threads only those that had something pending when they were frozen.
    ///
    /// # Errors
    /// A thread was killed, or the kernel refused.
    pub fn first(process: &Process) -> Result<Queues> {
        let of_thread = |thread: &super::freeze::Thread| match thread.outside.status.signals.pending {
            0 => Ok(Vec::new()),
            _ => read(thread.seized.tid(), false),
        };
        let own = process.threads.iter().map(of_thread).collect::<Result<_>>()?;
        Ok(Queues { shared: read(process.speaker(), true)?, own })
    }

    /// What is queued by now, but for what timers of the process queued since: their images have not run out yet.
    fn again(&self, process: &Process) -> Result<Queues> {
        let again = |tid, shared, before: &[RawSiginfo]| -> Result<Vec<RawSiginfo>> {
            let mut queue = read(tid, shared)?;
            queue.retain(|signal| !is_of_timer(signal) || before.iter().any(|b| source(b) == source(signal)));
            Ok(queue)
        };
        let own = process.threads.iter().zip(&self.own).map(|(t, before)| again(t.seized.tid(), false, before));
        Ok(Queues { own: own.collect::<Result<_>>()?, shared: again(process.speaker(), true, &self.shared)? })
    }

    /// Whether SIGCONT is among them. A stop empties the queues of it: one that is there came after the freeze.
    pub fn continues(&self) -> bool {
        let mut all = self.own.iter().flatten().chain(&self.shared);
        all.any(|signal| signal.starts_with(&libc::SIGCONT.to_ne_bytes()))
    }

    /// The message of the process' queue.
    pub fn of_process(&self) -> SignalQueueEntry {
        entry(&self.shared)
    }

    /// The message of the queue of a thread, by its place among the threads.
    pub fn of_thread(&self, thread: usize) -> SignalQueueEntry {
        entry(self.own.get(thread).map_or(&[], Vec::as_slice))
    }

    /// Puts them into the core images of the process, which hold its queues of before.
    fn rewrite(&self, process: &Process, out: &NewImageDir) -> Result<()> {
        for (i, thread) in process.threads.iter().enumerate() {
            let leads = i == 0;
            if !leads && self.own.get(i) == process.queues.own.get(i) {
                continue;
            }
            let name = kinds::CORE.of(thread.seized.tid().as_raw() as u64);
            let mut image = out.read_one(name)?;
            if let Some(of_process) = &mut image.tc {
                (of_process.task_state, of_process.stop_signo) = core::standing(process, self);
                of_process.signals_s = Some(self.of_process());
            }
            if let Some(of_thread) = &mut image.thread_core {
                of_thread.signals_p = Some(self.of_thread(i));
            }
            out.write_one(name, &image)?;
        }
        Ok(())
    }
}

/// Looks at all queues again; what they hold by now, where it differs from the core images, after the place of its
/// process in the tree.
///
/// # Errors
/// A task was killed, or the kernel refused.
pub fn changed(tree: &[Process]) -> Result<Vec<(usize, Queues)>> {
    let mut changed = Vec::new();
    for (i, process) in tree.iter().enumerate().filter(|(_, process)| !process.is_zombie()) {
        let now = process.queues.again(process)?;
        if now != process.queues {
            changed.push((i, now));
        }
    }
    Ok(changed)
}

/// Writes the core images of those processes anew.
///
/// # Errors
/// A file could not be read or written.
pub fn rewrite(tree: &mut [Process], changed: Vec<(usize, Queues)>, out: &NewImageDir) -> Result<()> {
    for (i, queues) in changed {
        tracing::debug!("process {} got signals while it was dumped", tree[i].pid);
        queues.rewrite(&tree[i], out)?;
        tree[i].queues = queues;
    }
    Ok(())
}

fn read(tid: Pid, shared: bool) -> Result<Vec<RawSiginfo>> {
    match ptrace::queued_signals(tid, shared) {
        Err(Errno::ESRCH) => Err(Error::state(format!("task {tid} died while it was frozen"))),
        other => other.doing(|| format!("read the queued signals of task {tid}")),
    }
}

fn entry(queue: &[RawSiginfo]) -> SignalQueueEntry {
    SignalQueueEntry { signals: queue.iter().map(|s| SiginfoEntry { siginfo: s.to_vec() }).collect() }
}

/// Whether a timer of the process queued the signal: SI_TIMER, or the kernel's own SIGALRM, that of ITIMER_REAL.
/// Timers of CPU time stand still in a frozen tree.
fn is_of_timer(signal: &RawSiginfo) -> bool {
    const SI_TIMER: i32 = -2;
    const SI_KERNEL: i32 = 0x80;
    let code = &signal[8..12];
    code == SI_TIMER.to_ne_bytes() || (code == SI_KERNEL.to_ne_bytes() && signal[..4] == libc::SIGALRM.to_ne_bytes())
}

/// What tells signals of different timers apart: signal, code and the timer's id. The count of overruns after it grows.
fn source(signal: &RawSiginfo) -> &[u8] {
    &signal[..20]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(number: i32, code: i32) -> RawSiginfo {
        let mut raw = [0; 128];
        raw[..4].copy_from_slice(&number.to_ne_bytes());
        raw[8..12].copy_from_slice(&code.to_ne_bytes());
        raw
    }

    #[test]
    fn signals_of_timers_are_told_apart_from_those_of_senders() {
        assert!(is_of_timer(&signal(libc::SIGUSR1, -2)));
        assert!(is_of_timer(&signal(libc::SIGALRM, 0x80)));
        assert!(!is_of_timer(&signal(libc::SIGALRM, 0)));
        assert!(!is_of_timer(&signal(libc::SIGHUP, 0x80)));
    }

    #[test]
    fn a_continuation_is_seen_in_every_queue() {
        let (cont, other) = (vec![signal(libc::SIGCONT, 0)], vec![signal(libc::SIGUSR1, 0)]);
        assert!(!Queues { shared: other.clone(), own: vec![other.clone()] }.continues());
        assert!(Queues { shared: cont.clone(), own: vec![Vec::new()] }.continues());
        assert!(Queues { shared: Vec::new(), own: vec![other, cont] }.continues());
    }
}
