//! A hash keeps its entries, also of odd sizes, and has none that was deleted.
//@ needs: [cap:bpf, cap:sys_admin]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_bpf::{Form, HASH, Map, NO_PREALLOC};
use nix::errno::Errno;

fn key(n: u32) -> [u8; 7] {
    let [a, b, c, d] = n.wrapping_mul(2_654_435_761).to_ne_bytes();
    [a, b, c, d, 1, 2, 3]
}

pub fn run(gate: &mut Gate) -> Verdict {
    let map = Map::new(Form { kind: HASH, key: 7, value: 4, entries: 500, flags: NO_PREALLOC, name: "odd" })?;
    (0..400u32).try_for_each(|n| map.set(&key(n), &n.to_ne_bytes(), 1))?;
    (0..400u32).step_by(2).try_for_each(|n| map.delete(&key(n)))?;
    let form = map.form()?;
    gate.checkpoint()?;
    check_eq("what the map is", map.form()?, form)?;
    for n in 0..400u32 {
        let expected = if n % 2 == 1 { Ok(n.to_ne_bytes().to_vec()) } else { Err(Errno::ENOENT) };
        check_eq(&format!("entry {n}"), map.get(&key(n)), expected)?;
    }
    (400..700u32).try_for_each(|n| map.set(&key(n), &n.to_ne_bytes(), 1))?;
    check_eq("one too many", map.set(&key(800), &[0; 4], 1), Err(Errno::E2BIG))
}
