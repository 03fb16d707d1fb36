//! Open files of one map with different access; the map is still one.
//@ needs: [cap:bpf, cap:sys_admin]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_bpf::{Form, HASH, Map, READ_ONLY, WRITE_ONLY};
use nix::errno::Errno;

pub fn run(gate: &mut Gate) -> Verdict {
    let form = Form { kind: HASH, key: 4, value: 4, entries: 8, flags: WRITE_ONLY, name: "access" };
    let writer = Map::new(form)?;
    let (reader, both) = (writer.open(READ_ONLY)?, writer.open(0)?);
    let other = Map::new(form)?;
    writer.set(&[1; 4], &[2; 4], 0)?;
    gate.checkpoint()?;
    check_eq("reading", reader.get(&[1; 4])?, vec![2; 4])?;
    check_eq("reading what is for writing", writer.get(&[1; 4]), Err(Errno::EPERM))?;
    check_eq("writing what is for reading", reader.set(&[1; 4], &[3; 4], 0), Err(Errno::EPERM))?;
    writer.set(&[5; 4], &[6; 4], 0)?;
    check_eq(
        "what the one wrote and the other reads",
        (reader.get(&[5; 4])?, both.get(&[5; 4])?),
        (vec![6; 4], vec![6; 4]),
    )?;
    check_eq("their map", (reader.id()?, both.id()?), (writer.id()?, writer.id()?))?;
    check_eq("the other map", other.open(0)?.get(&[1; 4]), Err(Errno::ENOENT))
}
