//! An epoll set knows what it watches by numbers: one that is closed while a copy keeps the file, one that is another file
//! by now, one under which two files were registered, the same file under two numbers.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_events::{control, epoll, ready, watch};
use crate::tools_files::fcntl;
use nix::errno::Errno;
use nix::sys::eventfd::EventFd;
use nix::unistd::{close, dup2_raw};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd};

pub fn run(gate: &mut Gate) -> Verdict {
    let (set, input) = (epoll()?, libc::EPOLLIN);
    let [closed, reused, second, twice] = [EventFd::new()?, EventFd::new()?, EventFd::new()?, EventFd::new()?];
    let number = |fd: &EventFd, at: i32| fcntl(&fd.as_fd(), libc::F_DUPFD, at);
    let gone = number(&closed, 100)?;
    watch(&set, gone, input, 1)?;
    close(gone)?;
    let again = number(&reused, 200)?;
    watch(&set, again, input, 2)?;
    // SAFETY: the number is the case's own.
    let _ = unsafe { dup2_raw(&second, again)? }.into_raw_fd();
    watch(&set, again, input, 3)?;
    let other = number(&twice, 300)?;
    watch(&set, twice.as_raw_fd(), input, 4)?;
    watch(&set, other, input | libc::EPOLLET, 5)?;
    gate.checkpoint()?;
    check_eq("nothing is ready", ready(&set)?, vec![])?;
    for (fd, words) in [(&closed, vec![1]), (&reused, vec![2]), (&second, vec![3]), (&twice, vec![4, 5])] {
        fd.write(1)?;
        let wanted: Vec<(i32, u64)> = words.into_iter().map(|word| (input, word)).collect();
        check_eq("what is ready", ready(&set)?, wanted)?;
        fd.read()?;
    }
    check_eq("the closed number", control(&set, libc::EPOLL_CTL_DEL, gone, 0, 0), Err(Errno::EBADF))?;
    number(&closed, gone)?;
    check_eq("the number that is open again", control(&set, libc::EPOLL_CTL_DEL, gone, 0, 0), Ok(()))?;
    control(&set, libc::EPOLL_CTL_DEL, again, 0, 0)?;
    control(&set, libc::EPOLL_CTL_DEL, other, 0, 0)?;
    [&closed, &reused, &second, &twice].iter().try_for_each(|fd| fd.write(1).map(drop))?;
    check_eq("what is left", ready(&set)?, vec![(input, 2), (input, 4)])
}
