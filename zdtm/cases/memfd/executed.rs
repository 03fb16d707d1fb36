//! A program that was executed from a memory file runs on, and /proc/self/exe says what it said. Another memory file that
//! is open for writing can still be executed.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::fcntl;
use crate::tools_memfd::memfd;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

const STAGE: &str = "MEMFD_EXECUTED_STAGE";

fn program(name: &[u8]) -> Verdict<File> {
    let mut file = memfd(name, libc::MFD_CLOEXEC)?;
    std::io::copy(&mut File::open("/proc/self/exe")?, &mut file)?;
    Ok(file)
}

fn command(file: &File) -> Command {
    Command::new(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

pub fn run(gate: &mut Gate) -> Verdict {
    if std::env::var_os(STAGE).is_none() {
        let file = program(b"program")?;
        return Err(command(&file).args(std::env::args_os().skip(1)).env(STAGE, "2").exec().into());
    }
    let other = program(b"other")?;
    fcntl(&other, libc::F_SETFD, 0)?;
    let link = fs::read_link("/proc/self/exe")?;
    check_eq("the link", link.to_string_lossy().into_owned(), "/memfd:program (deleted)".to_owned())?;
    gate.checkpoint()?;
    check_eq("the link", fs::read_link("/proc/self/exe")?, link)?;
    check_eq("the program executed again", Command::new("/proc/self/exe").output()?.status.code(), Some(2))?;
    check_eq("the other one executed", command(&other).output()?.status.code(), Some(2))
}
