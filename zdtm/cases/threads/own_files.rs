//! A thread that left the common descriptor table keeps its own: the same number is another file there, or none.
//@ dump-fails: "descriptor table of its own"
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_tasks::{must, outcome};
use crate::tools_threads::{Setup, each_thread};
use std::fs::File;
use std::os::fd::{AsRawFd as _, IntoRawFd as _};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

const NUMBER: i32 = 77;

/// What descriptor 77 is in this thread.
fn observe() -> Verdict<Option<PathBuf>> {
    // SAFETY: the call takes numbers only.
    match outcome(unsafe { libc::fcntl(NUMBER, libc::F_GETFD) }) {
        (-1, errno) => check_eq("the errno of a closed descriptor", errno, libc::EBADF).map(|()| None),
        _ => Ok(Some(std::fs::read_link(format!("/proc/thread-self/fd/{NUMBER}"))?)),
    }
}

pub fn run(gate: &mut Gate) -> Verdict {
    let open = |name: &str| -> Verdict<i32> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(name)?;
        file.write_all_at(name.as_bytes(), 0)?;
        // SAFETY: the call takes numbers only.
        let at = must("dup3", outcome(unsafe { libc::dup3(file.as_raw_fd(), NUMBER, libc::O_CLOEXEC) }))?;
        Ok(at as i32)
    };
    check_eq("the descriptor", open("main")?, NUMBER)?;
    let leave = || {
        // SAFETY: the call takes a number only.
        must("unshare", outcome(unsafe { libc::unshare(libc::CLONE_FILES) })).map(drop)
    };
    let other: Setup = Box::new(move || {
        leave()?;
        open("other").map(drop)
    });
    let none: Setup = Box::new(move || {
        leave()?;
        // SAFETY: this thread's descriptor, which nothing owns.
        must("close", outcome(unsafe { libc::close(NUMBER) }))?;
        // More descriptors than the others have.
        check("a further descriptor", File::open("main")?.into_raw_fd() < NUMBER)
    });
    each_thread(gate, vec![other, none], observe)
}
