//! A hash with more entries than are read at once.
//@ needs: [cap:bpf, cap:sys_admin]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_bpf::{Form, HASH, Map};

const ENTRIES: u32 = 30_000;

pub fn run(gate: &mut Gate) -> Verdict {
    let map = Map::new(Form { kind: HASH, key: 4, value: 4, entries: ENTRIES, flags: 0, name: "many" })?;
    (0..ENTRIES).try_for_each(|n| map.set(&n.to_ne_bytes(), &(!n).to_ne_bytes(), 0))?;
    gate.checkpoint()?;
    (0..ENTRIES).try_for_each(|n| check_eq("a value", map.get(&n.to_ne_bytes())?, (!n).to_ne_bytes().to_vec()))
}
