//! Values of semaphores, of the largest too; key and id.
//@ flavours: [ns]
//@ needs: [kernel:sysvipc]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_ipc::{KEY, about_set, set, values};

pub fn run(gate: &mut Gate) -> Verdict {
    let all: Vec<u16> = (0..250).map(|n| if n % 50 == 7 { 32767 } else { n * 3 }).collect();
    let id = set(KEY, 0o660, &all)?;
    let before = about_set(id)?;
    gate.checkpoint()?;
    check_eq("what is known of it", about_set(id)?, before)?;
    check_eq("the values", values(id, all.len())?, all)?;
    // SAFETY: integers only.
    check_eq("the id of the key", unsafe { libc::semget(KEY, 0, 0) }, id)
}
