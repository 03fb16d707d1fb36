//! The nice value of a session's scheduling group.
//@ needs: [kernel:autogroup]
use crate::gate::{Gate, Verdict, fail};
use crate::tools_creds::{Setup, each_child};

const FILE: &str = "/proc/self/autogroup";

/// The value; the group's number is the kernel's own affair.
fn observe() -> Verdict<String> {
    let text = std::fs::read_to_string(FILE)?;
    match text.trim().rsplit_once(" nice ") {
        Some((_, nice)) => Ok(nice.to_owned()),
        None => fail(format!("{FILE} is {text:?}")),
    }
}

pub fn run(gate: &mut Gate) -> Verdict {
    let setup = |nice: &'static str| -> Setup {
        Box::new(move || {
            nix::unistd::setsid()?;
            Ok(std::fs::write(FILE, nice)?)
        })
    };
    // Values may be changed a few times a second only.
    each_child(gate, vec![setup("7")], observe)
}
