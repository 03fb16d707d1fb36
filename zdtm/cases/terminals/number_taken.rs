//! A terminal's number that somebody else has by now is an error of the restore.
//@ restore-fails: the number 1 of a pseudo terminal (/dev/pts/1) is taken by another one
use crate::gate::{Gate, Verdict};
use crate::tools_relatives::{arrive, await_word, shared_word};
use crate::tools_terminals::pair;
use nix::sys::signal::kill;
use nix::unistd::{getpid, getppid, setsid};
use std::time::Duration;

pub fn run(gate: &mut Gate) -> Verdict {
    let first = pair()?;
    let word = shared_word()?;
    let root = getpid();
    let between = gate.fork(|gate| {
        gate.fork(|_| {
            setsid()?;
            crate::tools_relatives::until("the parent to end", || Ok(getppid().as_raw() == 1))?;
            arrive(word);
            // Keeps number 0, and takes number 1 as soon as the dump has killed the tree.
            while kill(root, None).is_ok() {
                std::thread::sleep(Duration::from_millis(1));
            }
            let _taken = pair()?;
            std::thread::sleep(Duration::from_secs(3));
            Ok(())
        })
        .map(drop)
    })?;
    crate::tools::wait_ok(between)?;
    let second = pair()?;
    await_word(word, 1)?;
    drop(first);
    gate.checkpoint()?;
    drop(second);
    Ok(())
}
