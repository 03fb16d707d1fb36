//! A frozen map stays frozen, with what is in it.
//@ needs: [cap:bpf, cap:sys_admin]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_bpf::{ARRAY, Form, Map};
use nix::errno::Errno;

pub fn run(gate: &mut Gate) -> Verdict {
    let map = Map::new(Form { kind: ARRAY, key: 4, value: 8, entries: 2, flags: 0, name: "frozen" })?;
    map.set(&[0; 4], &[7; 8], 0)?;
    map.freeze()?;
    gate.checkpoint()?;
    check_eq("the value", map.get(&[0; 4])?, vec![7; 8])?;
    check_eq("a change", map.set(&[0; 4], &[8; 8], 0), Err(Errno::EPERM))?;
    check_eq("freezing it again", map.freeze(), Err(Errno::EPERM))
}
