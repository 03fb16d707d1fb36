//! A restore fails when the executable is gone or cut off since the dump, and names it.
//@ restore-fails: watched-program
//@ damage: ["remove scratch:watched-program", "truncate scratch:watched-program"]
use crate::gate::{Gate, Verdict, check_eq};
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

const STAGE: &str = "PROGRAM_CHANGED_STAGE";

pub fn run(gate: &mut Gate) -> Verdict {
    let copy = gate.path("watched-program");
    if std::env::var_os(STAGE).is_none() {
        fs::copy("/proc/self/exe", &copy)?;
        return Err(Command::new(&copy).args(std::env::args_os().skip(1)).env(STAGE, "2").exec().into());
    }
    gate.checkpoint()?;
    check_eq("the program", fs::read_link("/proc/self/exe")?, copy)
}
