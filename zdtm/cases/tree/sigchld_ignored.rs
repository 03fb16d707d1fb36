//! Children of a parent that ignores SIGCHLD, or has set SA_NOCLDWAIT, leave no zombie when they end after the restore.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_signals::{caught, count, dispose};
use crate::tools_tasks::{Word, child, wait_status};

pub fn run(gate: &mut Gate) -> Verdict {
    let arrived = Word::shared()?;
    let parents = [false, true].map(|flagged| {
        child(gate, |gate| {
            if flagged {
                count(libc::SIGCHLD, libc::SA_NOCLDWAIT | libc::SA_RESTART)?;
            } else {
                dispose(libc::SIGCHLD, libc::SIG_IGN)?;
            }
            for _ in 0..3 {
                child(gate, |gate| {
                    arrived.bump();
                    gate.wait();
                    // SAFETY: _exit only ends the process.
                    unsafe { libc::_exit(1) }
                })?;
            }
            gate.wait();
            check_eq("a wait for children that leave nothing", wait_status(-1, 0), (-1, libc::ECHILD))?;
            check_eq("whether SIGCHLD came", caught(libc::SIGCHLD) > 0, flagged)
        })
    });
    arrived.wait_for(6);
    gate.checkpoint()?;
    for parent in parents {
        wait_ok(parent?)?;
    }
    Ok(())
}
