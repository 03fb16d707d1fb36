//! A child that executes the same program again and again while the tree is frozen: each time it is a fresh program with
//! the same pid.
//@ witness: -maps -bounds -auxv -environ -fds -Name -pss # each time it is a program with its own addresses
use crate::gate::{Gate, Verdict, check, check_eq, fail};
use crate::tools::wait_ok;
use crate::tools_tasks::child;
use nix::unistd::getpid;
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
    let counted = std::fs::write(gate.path("rounds.new"), round).and_then(|()| {
        // A rename, so that the parent never reads half a number.
        std::fs::rename(gate.path("rounds.new"), gate.path("rounds"))
    });
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
    std::fs::read_to_string(gate.path("rounds")).ok().and_then(|t| t.parse().ok()).unwrap_or(0)
}

pub fn run(gate: &mut Gate) -> Verdict {
    if let Ok(round) = std::env::var(ROUND) {
        executed(gate, &round);
    }
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
