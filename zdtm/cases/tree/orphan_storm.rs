//! Double forks all the time while the tree is frozen: tasks change their parent from one moment to the next, and the
//! subreaper gets each of them exactly once.
//@ witness: -tasks # children come and go
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_tasks::{Word, child, must, prctl, wait_status};

pub fn run(gate: &mut Gate) -> Verdict {
    must("PR_SET_CHILD_SUBREAPER", prctl(libc::PR_SET_CHILD_SUBREAPER, 1))?;
    let (made, stop) = (Word::shared()?, Word::shared()?);
    child(gate, |gate| {
        while stop.get() == 0 {
            let middle = gate.fork(|gate| {
                gate.fork(|_| {
                    std::thread::yield_now();
                    // SAFETY: _exit only ends the process.
                    unsafe { libc::_exit(5) }
                })
                .map(drop)
            })?;
            made.bump();
            crate::tools::wait_ok(middle)?;
        }
        Ok(())
    })?;
    made.wait_for(5);
    gate.ready();
    let mut orphans = 0;
    let mut after = None;
    loop {
        match wait_status(-1, 0) {
            (-1, errno) => {
                check_eq("the error of the last wait", errno, libc::ECHILD)?;
                break;
            }
            (_, 0) => check_eq("the forker's end comes after the word to stop", stop.get(), 1)?,
            (_, status) => check_eq("an orphan's status", status, 5 << 8).map(|()| orphans += 1)?,
        }
        if gate.passed() && *after.get_or_insert(orphans) + 20 < orphans {
            stop.set(1);
        }
    }
    check_eq("the orphans that came", orphans, made.get())
}
