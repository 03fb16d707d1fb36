//! Tasks that fork, and whose children exit at once, all the time while the tree is frozen: no child is lost, none
//! doubled, every exit code arrives.
//@ witness: -tasks # children come and go
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, child, wait_status};

pub fn run(gate: &mut Gate) -> Verdict {
    let (counters, stop) = (Word::shared_many(4)?, Word::shared()?);
    let mut forkers = Vec::new();
    for counter in counters {
        forkers.push(child(gate, |gate| {
            while stop.get() == 0 {
                let code = (counter.bump() & 0xff) as i32;
                // SAFETY: _exit only ends the process.
                let pid = child(gate, |_| unsafe { libc::_exit(code) })?.as_raw();
                check_eq("the child's end", wait_status(-1, 0), (i64::from(pid), code << 8))?;
            }
            check_eq("children that are left", wait_status(-1, 0), (-1, libc::ECHILD))
        })?);
    }
    counters.iter().for_each(|c| c.wait_for(3));
    gate.checkpoint()?;
    counters.iter().for_each(|c| c.wait_for(c.get() + 10));
    stop.set(1);
    forkers.into_iter().try_for_each(wait_ok)
}
