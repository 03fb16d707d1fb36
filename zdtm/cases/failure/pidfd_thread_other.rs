//! A pidfd of a thread that is not the first of its process is refused by name.
//@ dump-fails: "which is not the first"
//@ needs: [kernel:pidfd_thread]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_events::{pidfd, signal};
use crate::tools_tasks::{Word, gettid};
use crate::tools_threads::{join, spawn};
use nix::unistd::Pid;

pub fn run(gate: &mut Gate) -> Verdict {
    let (tid, go) = (Word::shared()?, Word::shared()?);
    let thread = spawn(move || {
        tid.set(gettid() as u32);
        go.wait_for(1);
    })?;
    tid.wait_for(1);
    let of_thread = pidfd(Pid::from_raw(tid.get() as i32), libc::O_EXCL)?;
    gate.checkpoint()?;
    check_eq("a signal that is none", signal(&of_thread, 0), Ok(()))?;
    go.set(1);
    join(thread)
}
