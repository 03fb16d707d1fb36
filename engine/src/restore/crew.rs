//! The tasks under construction. All are traced by this thread and die with it until they are released; batches run
//! in many of them at the same time, and every result is checked before the next stage begins.

use super::seed::Layout;
use crate::error::{Doing, Error, Result};
use crate::remote::Batch;
use crate::sys::ptrace::{self, Event};
use crate::sys::{self, Pid};
use stasis_arch::native::Regs;

/// A task or thread that stands at the seed's stub, stopped.
#[derive(Debug)]
pub struct Member {
    /// Its id.
    pub tid: Pid,
    /// The registers of the fresh seed: a clean state to run batches from.
    regs: Regs,
}

/// Batches for one task, run one after another; a new one begins where the last has no room.
#[derive(Debug)]
pub struct Program {
    at: (sys::RemoteAddr, u64),
    max_entries: usize,
    batches: Vec<Batch>,
}

impl Program {
    /// An empty program in the process' batch area.
    pub fn new(layout: &Layout) -> Program {
        Program { at: layout.batch(), max_entries: 8192, batches: Vec::new() }
    }

    /// An empty program in a thread's slot.
    pub fn of_thread(layout: &Layout, index: usize) -> Program {
        Program { at: layout.thread_batch(index), max_entries: 16, batches: Vec::new() }
    }

    /// The batch to which `entries` calls with `bytes` of data can be added.
    pub fn room(&mut self, entries: usize, bytes: usize) -> &mut Batch {
        if !self.batches.last().is_some_and(|b| b.fits(entries, bytes)) {
            self.batches.push(Batch::new(self.at.0, self.at.1, self.max_entries));
        }
        let last = self.batches.len() - 1;
        &mut self.batches[last]
    }

    /// Adds a call without data.
    pub fn call(&mut self, nr: i64, args: &[u64]) {
        self.room(1, 0).call(nr, args);
    }

    /// Adds a call that takes `bytes` at argument `index`.
    pub fn call_with(&mut self, nr: i64, args: &[u64], index: usize, bytes: &[u8]) {
        let batch = self.room(1, bytes.len() + 16);
        let mut args = args.to_vec();
        args[index] = batch.put(bytes).0;
        batch.call(nr, &args);
    }

    /// The batches, after they were run.
    pub fn batches(&self) -> &[Batch] {
        &self.batches
    }
}

impl Member {
    /// Takes over a stopped seed.
    pub fn adopt(tid: Pid) -> Result<Member> {
        let regs = ptrace::regs(tid).doing(|| format!("read the registers of task {tid}"))?;
        ptrace::set_sigmask(tid, u64::MAX).doing(|| format!("block the signals of task {tid}"))?;
        Ok(Member { tid, regs })
    }

    /// The same with a stack pointer that lies in no area of the program's: no stub uses it, but the kernel compares
    /// it with the alternate signal stack.
    pub fn with_stack(mut self, at: u64) -> Member {
        self.regs.set_sp(at);
        self
    }

    /// Starts a batch; [`Member::finish`] waits for its end.
    pub fn start(&self, stub: u64, batch: &Batch) -> Result<()> {
        batch.send(self.tid)?;
        let regs = self.regs.at_batch(stub, batch.entries_at().0, batch.len() as u64, None);
        ptrace::set_regs(self.tid, &regs).doing(|| format!("set the registers of task {}", self.tid))?;
        ptrace::cont(self.tid, 0).doing(|| format!("resume task {}", self.tid))
    }

    /// Waits for the breakpoint at the end of a batch; births on the way go to `born`.
    fn finish(&self, born: &mut Vec<Member>) -> Result<()> {
        let tid = self.tid;
        loop {
            match ptrace::wait(tid, true).doing(|| format!("wait for task {tid}"))? {
                Some((_, Event::Stopped { signal: libc::SIGTRAP, event: 0 })) => return Ok(()),
                Some((_, Event::Stopped { event, .. })) if is_birth(event) => {
                    let child = ptrace::event_message(tid).doing(|| format!("ask task {tid} for its child"))?;
                    born.push(adopt_newborn(Pid::from_raw(child as i32), &self.regs)?);
                    ptrace::cont(tid, 0).doing(|| format!("resume task {tid}"))?;
                }
                Some((_, Event::Stopped { signal: libc::SIGSEGV | libc::SIGBUS | libc::SIGILL, .. })) => {
                    return Err(Error::state(format!("task {tid} crashed while it was being restored")));
                }
                // Blocked signals do not stop a task; this one came to the tracer alone.
                Some((_, Event::Stopped { .. })) => {
                    ptrace::cont(tid, 0).doing(|| format!("resume task {tid}"))?;
                }
                Some((_, event)) => {
                    return Err(Error::state(format!("task {tid} died while it was being restored: {event:?}")));
                }
                None => return Err(Error::state(format!("task {tid} is not there"))),
            }
        }
    }

    /// Runs one batch.
    pub fn run(&self, stub: u64, batch: &mut Batch) -> Result<Vec<Member>> {
        let mut born = Vec::new();
        crate::fault::point("before a batch")?;
        self.start(stub, batch)?;
        self.finish(&mut born)?;
        batch.fetch(self.tid)?;
        Ok(born)
    }

    /// The clean registers.
    pub fn regs(&self) -> &Regs {
        &self.regs
    }
}

fn is_birth(event: i32) -> bool {
    [libc::PTRACE_EVENT_FORK, libc::PTRACE_EVENT_VFORK, libc::PTRACE_EVENT_CLONE].contains(&event)
}

/// Waits for a new task to stop at its birth. It has its parent's registers, at the call that made it; the parent's
/// clean ones are its own too.
pub fn adopt_newborn(tid: Pid, regs: &Regs) -> Result<Member> {
    match ptrace::wait(tid, true).doing(|| format!("wait for task {tid}"))? {
        Some((_, Event::Stopped { .. })) => Ok(Member { tid, regs: *regs }),
        other => Err(Error::state(format!("task {tid} did not stop at its birth: {other:?}"))),
    }
}

/// Runs a program in each of several tasks at the same time. Returns the tasks that were born.
pub fn run_all(stub: u64, work: &mut [(&Member, Program)]) -> Result<Vec<Member>> {
    let mut born = Vec::new();
    let rounds = work.iter().map(|(_, p)| p.batches.len()).max().unwrap_or(0);
    for round in 0..rounds {
        crate::cancel::check()?;
        crate::fault::point("between batches")?;
        for (member, program) in work.iter() {
            if let Some(batch) = program.batches.get(round).filter(|b| !b.is_empty()) {
                member.start(stub, batch)?;
            }
        }
        for (member, program) in work.iter_mut() {
            if let Some(batch) = program.batches.get_mut(round).filter(|b| !b.is_empty()) {
                member.finish(&mut born)?;
                batch.fetch(member.tid)?;
            }
        }
    }
    Ok(born)
}
