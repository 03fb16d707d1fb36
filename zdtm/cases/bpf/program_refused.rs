//! A BPF program is refused by name.
//@ dump-fails: "BPF programs are not supported yet"
//@ needs: [cap:bpf, cap:sys_admin]
use crate::gate::{Gate, Verdict};
use crate::tools_bpf::program;

pub fn run(gate: &mut Gate) -> Verdict {
    let program = program()?;
    gate.checkpoint()?;
    drop(program.try_clone()?);
    Ok(())
}
