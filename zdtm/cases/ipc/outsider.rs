//! A process outside of the tree is in its IPC namespace: what is in it does not belong to the tree alone. Refused by name.
//@ flavours: [ns]
//@ dump-fails: which is outside of the tree, is in it too
use crate::gate::{Gate, Verdict};
use crate::tools::wait_ok;
use crate::tools_relatives::{arrive, await_word, shared_word};

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    // An orphan goes to the cell's init.
    let parent = gate.fork(|gate| {
        gate.fork(|gate| {
            arrive(word);
            gate.wait();
            Ok(())
        })?;
        Ok(())
    })?;
    wait_ok(parent)?;
    await_word(word, 1)?;
    gate.checkpoint()
}
