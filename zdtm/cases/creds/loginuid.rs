//! The user who once logged in, as the audit system keeps it.
//@ needs: [cap:audit_control, kernel:loginuid]
use crate::gate::{Gate, Verdict};
use crate::tools_creds::{Setup, each_child};

const FILE: &str = "/proc/self/loginuid";

pub fn run(gate: &mut Gate) -> Verdict {
    let setup = |value: &'static str| -> Setup { Box::new(move || Ok(std::fs::write(FILE, value)?)) };
    each_child(gate, ["0", "1234", "100000"].into_iter().map(setup).collect(), || Ok(std::fs::read_to_string(FILE)?))
}
