//! A child that executes the same program again and again while the tree is frozen: each time it is a fresh program with
//! the same pid.
//@ witness: -maps -bounds -auxv -environ -fds -Name -pss # each time it is a program with its own addresses
use crate::gate::{Gate, Verdict, check, check_eq, fail};
use crate::tools::wait_ok;
use crate::tools_tasks::child;
use nix::unistd::getpid;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// In the environment of the executed program: how often it was executed, and its pid.
const ROUND: &str = "ZDTM_EXEC_ROUND";
const OWNER: &str = "ZDTM_EXEC_PID";

/// Executes this program once more.
fn again(gate: &Gate, round: u64) -> Verdict {
    let error = Command::new("/proc/self/exe")
        .args(["tree/exec_storm", "--dir"])
        .arg(gate.dir())
        .env(ROUND, round.to_string())
        .env(OWNER, getpid().to_string())
        .exec();
    fail(format!("the program was not executed: {error}"))
}

/// What the executed program does; it never returns, as the verdict is its parent's.
fn executed(gate: &Gate, round: &str) -> ! {
    let same = std::env::var(OWNER).is_ok_and(|pid| pid == getpid().to_string());
    let number = round.parse::<u64>().unwrap_or(0);
    // In place, in a file that is always there: a dump that leaves us running may see it open at any instant.
    let counted = OpenOptions::new()
        .write(true)
        .open(gate.path("rounds"))
        .and_then(|file| file.write_all_at(&number.to_ne_bytes(), 0));
    if same
        && counted.is_ok()
        && !gate.path("stop").exists()
        && let Err(failure) = again(gate, number + 1)
    {
        eprintln!("{failure}");
    }
    // SAFETY: _exit only ends the process.
    unsafe { libc::_exit(i32::from(!same || counted.is_err() || !gate.path("stop").exists())) }
}

fn rounds(gate: &Gate) -> u64 {
    let bytes = std::fs::read(gate.path("rounds")).unwrap_or_default();
    bytes.try_into().map_or(0, u64::from_ne_bytes)
}

pub fn run(gate: &mut Gate) -> Verdict {
    if let Ok(round) = std::env::var(ROUND) {
        executed(gate, &round);
    }
    std::fs::write(gate.path("rounds"), 0u64.to_ne_bytes())?;
    let pid = child(gate, |gate| again(gate, 1))?;
    while rounds(gate) < 5 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    gate.checkpoint()?;
    let before = rounds(gate);
    crate::tools_tasks::await_that("further rounds", || Ok(rounds(gate) > before + 5))?;
    std::fs::write(gate.path("stop"), "")?;
    wait_ok(pid)?;
    check("the rounds were counted", rounds(gate) > before)?;
    check_eq("the children left", crate::tools_tasks::wait_status(-1, 0), (-1, libc::ECHILD))
}
