//! Close-on-exec is a descriptor's own: dups of one file differ in it, and an exec closes just those that have it.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::fcntl;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;

pub fn run(gate: &mut Gate) -> Verdict {
    let file = File::open("/dev/null")?;
    let closing = fcntl(&file, libc::F_DUPFD_CLOEXEC, 100)?;
    let open = fcntl(&file, libc::F_DUPFD, 100)?;
    let third = fcntl(&file, libc::F_DUPFD, 100)?;
    fcntl(&third, libc::F_SETFD, libc::FD_CLOEXEC)?;
    check_eq("the numbers", (closing, open, third), (100, 101, 102))?;
    gate.checkpoint()?;
    let of = |fd: i32| fcntl(&fd, libc::F_GETFD, 0);
    check_eq("FD_CLOEXEC of 100, 101, 102", (of(100)?, of(101)?, of(102)?), (1, 0, 1))?;
    check_eq("FD_CLOEXEC of the file", of(file.as_raw_fd())?, 1)?;
    let seen = Command::new("/bin/sh")
        .args(["-c", "for n in 100 101 102; do [ -e /proc/self/fd/$n ] && echo $n; done; :"])
        .output()?;
    check_eq("what an exec left open", String::from_utf8_lossy(&seen.stdout).into_owned(), "101\n".to_owned())
}
