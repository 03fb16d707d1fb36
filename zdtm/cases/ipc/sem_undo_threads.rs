//! Threads share what is undone: it is undone when the last of them has ended.
//@ flavours: [ns]
//@ needs: [kernel:sysvipc]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_ipc::{SEM_UNDO, operate, set, values};
use crate::tools_relatives::{arrive, await_word, shared_word};

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let id = set(libc::IPC_PRIVATE, 0o600, &[10, 20])?;
    let child = gate.fork(|gate| {
        std::thread::scope(|scope| {
            scope.spawn(|| operate(id, 0, -4, SEM_UNDO)).join().expect("a thread")?;
            let waits = scope.spawn(|| gate.wait());
            operate(id, 1, -5, SEM_UNDO)?;
            arrive(word);
            waits.join().expect("a thread");
            await_word(word, 2)
        })
    })?;
    await_word(word, 1)?;
    gate.checkpoint()?;
    check_eq("the values", values(id, 2)?, vec![6, 15])?;
    arrive(word);
    wait_ok(child)?;
    check_eq("the values after its end", values(id, 2)?, vec![10, 20])
}
