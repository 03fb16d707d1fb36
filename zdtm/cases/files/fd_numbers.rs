//! Descriptors keep their numbers: very high ones, and ones above a limit that was lowered afterwards.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{fcntl, same_description};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs::{self, File};
use std::os::fd::AsRawFd;

fn numbers() -> Verdict<Vec<i32>> {
    let mut all: Vec<i32> =
        fs::read_dir("/proc/self/fd")?.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect();
    all.sort_unstable();
    // The directory itself was open under the lowest free number.
    let open = |fd: &i32| fcntl(fd, libc::F_GETFD, 0).is_ok();
    Ok(all.into_iter().filter(open).collect())
}

pub fn run(gate: &mut Gate) -> Verdict {
    let file = File::open("/dev/null")?;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    // Many systems start with a limit of 1024, below what is tried here.
    let soft = soft.max(hard.min(4096));
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?;
    let top = soft as i32 - 1;
    for fd in [200, 255, 256, 1023, 1024, top - 1, top] {
        check_eq("the number", fcntl(&file, libc::F_DUPFD, fd)?, fd)?;
    }
    setrlimit(Resource::RLIMIT_NOFILE, 100, hard)?;
    let before = numbers()?;
    gate.checkpoint()?;
    check_eq("the numbers", numbers()?, before)?;
    check_eq("the limit", getrlimit(Resource::RLIMIT_NOFILE)?, (100, hard))?;
    check_eq("a number above the limit", fcntl(&file, libc::F_DUPFD, 100), Err(Errno::EINVAL))?;
    for fd in [200, 1024, top] {
        check_eq("one description", same_description(&file, nix::unistd::getpid(), fd)?, true)?;
    }
    check_eq("the lowest free number", fcntl(&file, libc::F_DUPFD, 0)?, file.as_raw_fd() + 1)
}
