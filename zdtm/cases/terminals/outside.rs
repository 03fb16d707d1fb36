//! The slave of a terminal whose master a process outside the tree has is refused.
//@ dump-fails: the other side of the terminal is outside the tree
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{read_once, write_once};
use crate::tools_relatives::{arrive, await_word, shared_word};
use crate::tools_terminals::pair;
use nix::unistd::{getppid, setsid};

pub fn run(gate: &mut Gate) -> Verdict {
    let (master, slave) = pair()?;
    let word = shared_word()?;
    let me = nix::unistd::getpid();
    // A child of a child that has ended is the cell's.
    let between = gate.fork(|gate| {
        gate.fork(|_| {
            setsid()?;
            crate::tools_relatives::until("the parent to end", || Ok(getppid() != me && getppid().as_raw() == 1))?;
            arrive(word);
            await_word(word, 2)?;
            write_once(&master, b"typed\n")?;
            await_word(word, 3)
        })
        .map(drop)
    })?;
    crate::tools::wait_ok(between)?;
    await_word(word, 1)?;
    drop(master);
    gate.checkpoint()?;
    arrive(word);
    check_eq("what the slave reads", read_once(&slave, 100)?, b"typed\n".to_vec())?;
    arrive(word);
    Ok(())
}
