//! An array keeps its values, its name and its flags.
//@ needs: [cap:bpf, cap:sys_admin]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_bpf::{ARRAY, Form, Map, READ_ONLY_FOR_PROGRAMS};
use nix::errno::Errno;

pub fn run(gate: &mut Gate) -> Verdict {
    let flags = READ_ONLY_FOR_PROGRAMS;
    let map = Map::new(Form { kind: ARRAY, key: 4, value: 13, entries: 1000, flags, name: "zdtm_array.15ch" })?;
    let value = |n: u32| -> Vec<u8> { (0..13).map(|i| (n * 7 + i) as u8).collect() };
    (0..1000u32).step_by(3).try_for_each(|n| map.set(&n.to_ne_bytes(), &value(n), 0))?;
    let form = map.form()?;
    gate.checkpoint()?;
    check_eq("what the map is", map.form()?, form)?;
    for n in 0..1000u32 {
        let expected = if n % 3 == 0 { value(n) } else { vec![0; 13] };
        check_eq(&format!("value {n}"), map.get(&n.to_ne_bytes())?, expected)?;
    }
    check_eq("one too many", map.get(&1000u32.to_ne_bytes()), Err(Errno::ENOENT))?;
    check("it can be changed", map.set(&5u32.to_ne_bytes(), &value(9), 0).is_ok())
}
