//! Two processes that share one descriptor table (CLONE_FILES) see what the other opens, closes and changes.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::fcntl;
use crate::tools_relatives::{arrive, await_word, fork_sharing, shared_word};
use nix::errno::Errno;
use std::fs::File;
use std::os::fd::{AsRawFd, IntoRawFd};

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let kept = File::open("/dev/null")?;
    let sharer = fork_sharing(gate, libc::CLONE_FILES, |gate| {
        arrive(word);
        gate.wait();
        await_word(word, 3)?;
        check_eq("FD_CLOEXEC set by the parent", fcntl(&60, libc::F_GETFD, 0)?, 0)?;
        // SAFETY: nothing in this process owns 60.
        Errno::result(unsafe { libc::close(60) })?;
        fcntl(&kept, libc::F_DUPFD, 70)?;
        arrive(word);
        Ok(())
    })?;
    let apart = gate.fork(|gate| {
        arrive(word);
        gate.wait();
        await_word(word, 4)?;
        check_eq("70 in a process with a table of its own", fcntl(&70, libc::F_GETFD, 0), Err(Errno::EBADF))
    })?;
    await_word(word, 2)?;
    gate.checkpoint()?;
    check_eq("60 before", fcntl(&60, libc::F_GETFD, 0), Err(Errno::EBADF))?;
    fcntl(&File::open("/dev/zero")?.into_raw_fd(), libc::F_DUPFD, 60)?;
    arrive(word);
    await_word(word, 4)?;
    check_eq("60 closed by the sharer", fcntl(&60, libc::F_GETFD, 0), Err(Errno::EBADF))?;
    check_eq("70 opened by the sharer", fcntl(&70, libc::F_GETFD, 0), Ok(0))?;
    check_eq("70 is the kept file", crate::tools_files::same_description(&kept, nix::unistd::getpid(), 70)?, true)?;
    check_eq("the kept file", kept.as_raw_fd() > 2, true)?;
    wait_ok(sharer)?;
    wait_ok(apart)
}
