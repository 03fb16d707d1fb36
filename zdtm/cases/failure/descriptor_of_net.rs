//! A descriptor of a namespace is refused by name.
//@ dump-fails: "net:["
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{stat, target};
use std::fs::File;

pub fn run(gate: &mut Gate) -> Verdict {
    let namespace = File::open("/proc/self/ns/net")?;
    let before = (target(&namespace)?, stat(&namespace)?.st_ino);
    gate.checkpoint()?;
    check_eq("the namespace", (target(&namespace)?, stat(&namespace)?.st_ino), before)
}
