//! A map of parent and child, by a descriptor that both have and by one of the child's own.
//@ needs: [cap:bpf, cap:sys_admin]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_bpf::{ARRAY, Form, Map};
use crate::tools_tasks::{Word, stay};

pub fn run(gate: &mut Gate) -> Verdict {
    let map = Map::new(Form { kind: ARRAY, key: 4, value: 4, entries: 4, flags: 0, name: "shared" })?;
    let arrived = Word::shared()?;
    let child = gate.fork(|gate| {
        let own = map.open(0)?;
        own.set(&[0; 4], &[1; 4], 0)?;
        stay(gate, arrived)?;
        check_eq("the map of both descriptors", own.id()?, map.id()?)?;
        own.set(&1u32.to_ne_bytes(), &[2; 4], 0)?;
        Ok(())
    })?;
    arrived.wait_for(1);
    gate.checkpoint()?;
    wait_ok(child)?;
    check_eq("what the child wrote before", map.get(&[0; 4])?, vec![1; 4])?;
    check_eq("and after", map.get(&1u32.to_ne_bytes())?, vec![2; 4])
}
