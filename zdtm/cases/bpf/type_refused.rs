//! A map of another type is refused by name; what is in it stays.
//@ dump-fails: "BPF maps of the type percpu_array (6) are not supported yet"
//@ needs: [cap:bpf, cap:sys_admin]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_bpf::{Form, Map, PERCPU_ARRAY};

pub fn run(gate: &mut Gate) -> Verdict {
    let map = Map::new(Form { kind: PERCPU_ARRAY, key: 4, value: 4, entries: 4, flags: 0, name: "cpus" })?;
    let form = map.form()?;
    gate.checkpoint()?;
    check_eq("what the map is", map.form()?, form)
}
