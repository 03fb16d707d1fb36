//! A process without standard descriptors, or with them in an odd order and mode, or with none at all, stays so.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{fcntl, flags};
use crate::tools_relatives::{arrive, await_word, fork_logged, shared_word};
use nix::errno::Errno;

fn close(fds: std::ops::Range<i32>) {
    for fd in fds {
        // SAFETY: nothing of this process uses the descriptor later.
        unsafe { libc::close(fd) };
    }
}

/// Which of the first ten descriptors are open. It must be asked without opening anything.
fn open_ones() -> Vec<i32> {
    (0..10).filter(|fd| fcntl(fd, libc::F_GETFD, 0) != Err(Errno::EBADF)).collect()
}

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let none = fork_logged(gate, |gate| {
        close(0..10);
        arrive(word);
        gate.wait();
        check_eq("open descriptors", open_ones(), vec![])
    })?;
    let odd = fork_logged(gate, |gate| {
        close(0..10);
        // SAFETY: the paths are constants; the lowest numbers are free, in turn 0, 1, 2.
        let opened = unsafe {
            [libc::open(c"/dev/zero".as_ptr(), libc::O_WRONLY), libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY)]
        };
        check_eq("the numbers", opened, [0, 1])?;
        fcntl(&1, libc::F_DUPFD, 5)?;
        close(1..2);
        arrive(word);
        gate.wait();
        check_eq("open descriptors", open_ones(), vec![0, 5])?;
        check_eq("access modes", (flags(&0)? & 3, flags(&5)? & 3), (libc::O_WRONLY, libc::O_RDONLY))
    })?;
    await_word(word, 2)?;
    gate.checkpoint()?;
    wait_ok(none)?;
    wait_ok(odd)
}
