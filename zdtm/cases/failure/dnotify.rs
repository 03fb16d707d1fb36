//! A directory whose changes are told by signals (F_NOTIFY) is refused; the signal still comes.
//@ dump-fails: F_NOTIFY
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::fcntl;
use nix::sys::signal::{SigSet, Signal};
use std::fs::{self, File};

/// What is told: that a file is made.
const DN_CREATE: i32 = 4;
/// More than once.
const DN_MULTISHOT: i32 = i32::MIN;

pub fn run(gate: &mut Gate) -> Verdict {
    let io = SigSet::from(Signal::SIGIO);
    io.thread_block()?;
    let directory = File::open(gate.dir())?;
    fcntl(&directory, libc::F_NOTIFY, DN_CREATE | DN_MULTISHOT)?;
    gate.checkpoint()?;
    fs::write(gate.path("new"), b"")?;
    check_eq("the signal", io.wait()?, Signal::SIGIO)
}
