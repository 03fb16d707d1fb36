//! A hash without entries, and one without a free place.
//@ needs: [cap:bpf, cap:sys_admin]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_bpf::{Form, HASH, Map};
use nix::errno::Errno;

pub fn run(gate: &mut Gate) -> Verdict {
    let form = Form { kind: HASH, key: 4, value: 8, entries: 3, flags: 0, name: "" };
    let (empty, full) = (Map::new(form)?, Map::new(form)?);
    (0..3u32).try_for_each(|n| full.set(&n.to_ne_bytes(), &[n as u8; 8], 0))?;
    gate.checkpoint()?;
    check_eq("one more", full.set(&[9; 4], &[9; 8], 0), Err(Errno::E2BIG))?;
    for n in 0..3u32 {
        check_eq("an entry of the empty one", empty.get(&n.to_ne_bytes()), Err(Errno::ENOENT))?;
        check_eq("an entry of the full one", full.get(&n.to_ne_bytes())?, vec![n as u8; 8])?;
        empty.set(&n.to_ne_bytes(), &[1; 8], 1)?;
    }
    check_eq("one more in the other", empty.set(&[9; 4], &[9; 8], 0), Err(Errno::E2BIG))
}
