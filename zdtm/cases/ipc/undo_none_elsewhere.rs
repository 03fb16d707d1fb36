//! A process that has used semaphores of others, and is undone for none by now, is dumped.
//@ routes: [once, thrice]
//@ needs: [kernel:sysvipc]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_ipc::{SEM_UNDO, operate, remove_set, set, values};

pub fn run(gate: &mut Gate) -> Verdict {
    let id = set(libc::IPC_PRIVATE, 0o600, &[5, 5])?;
    operate(id, 1, -2, SEM_UNDO)?;
    operate(id, 1, 2, SEM_UNDO)?;
    gate.checkpoint()?;
    check_eq("the values", values(id, 2)?, vec![5, 5])?;
    remove_set(id)
}
