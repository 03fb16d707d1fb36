//! A program whose file was deleted runs on, and /proc/self/exe says what it said.
//@ dump-options: --ghost-limit 512M
use crate::gate::{Gate, Verdict, check_eq};
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

const STAGE: &str = "EXE_DELETED_STAGE";

pub fn run(gate: &mut Gate) -> Verdict {
    let copy = gate.path("program");
    if std::env::var_os(STAGE).is_none() {
        fs::copy("/proc/self/exe", &copy)?;
        return Err(Command::new(&copy).args(std::env::args_os().skip(1)).env(STAGE, "2").exec().into());
    }
    let status = fs::metadata("/proc/self/exe")?;
    fs::remove_file(&copy)?;
    let link = fs::read_link("/proc/self/exe")?;
    check_eq("the link", link.to_string_lossy().into_owned(), format!("{} (deleted)", copy.display()))?;
    gate.checkpoint()?;
    check_eq("the link", fs::read_link("/proc/self/exe")?, link)?;
    let now = fs::metadata("/proc/self/exe")?;
    check_eq("the size", now.len(), status.len())?;
    check_eq("the mode", now.permissions(), status.permissions())?;
    check_eq("the path", copy.exists(), false)?;
    // Pages of the text that were never touched come from the ghost.
    let usage = Command::new("/proc/self/exe").output()?;
    check_eq("the deleted program executed again", usage.status.code(), Some(2))
}
