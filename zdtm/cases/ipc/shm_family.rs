//! Parent and child share a segment, which each has attached for itself.
//@ flavours: [ns]
//@ needs: [kernel:sysvipc]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_ipc::{KEY, about_segment, attach, segment};
use crate::tools_relatives::until;

pub fn run(gate: &mut Gate) -> Verdict {
    let id = segment(KEY, 2, 0o600)?;
    let area = attach(id, 2, 0)?;
    area.fill(1);
    let child = gate.fork(|gate| {
        let own = attach(id, 2, 0)?;
        gate.wait();
        until("the parent's word", || Ok(own.word(0) == 0x42))?;
        area.set(1, 0x43);
        Ok(())
    })?;
    until("three attachments", || Ok(about_segment(id)?.2 == 3))?;
    gate.checkpoint()?;
    area.set(0, 0x42);
    wait_ok(child)?;
    check_eq("what the child wrote", area.word(1), 0x43)
}
