//! A process that the kernel would undo operations for, on semaphores that do not belong to the tree, is refused.
//@ dump-fails: its adjustment of semaphore 1 of set
//@ unseen: it is asked of the process itself
//@ needs: [kernel:sysvipc]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_ipc::{SEM_UNDO, operate, remove_set, set, values};

pub fn run(gate: &mut Gate) -> Verdict {
    let id = set(libc::IPC_PRIVATE, 0o600, &[5, 5])?;
    operate(id, 1, -2, SEM_UNDO)?;
    gate.checkpoint()?;
    check_eq("the values", values(id, 2)?, vec![5, 3])?;
    remove_set(id)
}
