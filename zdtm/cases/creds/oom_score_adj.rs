//! How willing the kernel is to kill a process when memory runs out.
use crate::gate::{Gate, Verdict};
use crate::tools_creds::{Setup, each_child};

const FILE: &str = "/proc/self/oom_score_adj";

pub fn run(gate: &mut Gate) -> Verdict {
    let setup = |value: &'static str| -> Setup { Box::new(move || Ok(std::fs::write(FILE, value)?)) };
    each_child(gate, ["500", "1000", "1"].into_iter().map(setup).collect(), || Ok(std::fs::read_to_string(FILE)?))
}
