//! What the kernel is to add to semaphores when a process ends is added when it ends, and not before.
//@ flavours: [ns]
//@ needs: [kernel:sysvipc]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_ipc::{SEM_UNDO, operate, set, values};
use crate::tools_relatives::{arrive, await_word, shared_word};

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let start = [10, 0, 32000, 5, 32767, 7];
    let id = set(libc::IPC_PRIVATE, 0o600, &start)?;
    let child = gate.fork(|gate| {
        // Down, up, far down, both, and one at its top.
        for (number, add) in [(0, -3), (1, 9), (2, -31999), (3, -1), (3, 2), (4, -1)] {
            operate(id, number, add, SEM_UNDO)?;
        }
        arrive(word);
        gate.wait();
        await_word(word, 2)
    })?;
    await_word(word, 1)?;
    // Without an undo of its own, so that the child's is not what the values say.
    operate(id, 1, -4, 0)?;
    let held = [7, 5, 1, 6, 32766, 7];
    check_eq("the values before", values(id, start.len())?, held.to_vec())?;
    gate.checkpoint()?;
    check_eq("the values", values(id, start.len())?, held.to_vec())?;
    arrive(word);
    wait_ok(child)?;
    // 5 - 9 is nothing.
    check_eq("the values after its end", values(id, start.len())?, vec![10, 0, 32000, 5, 32767, 7])
}
