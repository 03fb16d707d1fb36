//! Sockets are watched: by an epoll set, which reports what waits and what comes; and by asynchronous notice, which sends
//! its owner a signal.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{F_SETSIG, fcntl, flags};
use crate::tools_unix::{pair, send, text};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::SockType;

const SIGNAL: i32 = 45;

pub fn run(gate: &mut Gate) -> Verdict {
    let ((one, two), (quiet, other), (noisy, waker)) =
        (pair(SockType::Stream)?, pair(SockType::Datagram)?, pair(SockType::Stream)?);
    let set = Epoll::new(EpollCreateFlags::empty())?;
    set.add(&one, EpollEvent::new(EpollFlags::EPOLLIN, 1))?;
    set.add(&quiet, EpollEvent::new(EpollFlags::EPOLLIN, 2))?;
    send(&two, b"waits", &[], None)?;
    // SAFETY: the set is filled before it is used.
    unsafe {
        let mut signals = std::mem::zeroed();
        libc::sigemptyset(&mut signals);
        libc::sigaddset(&mut signals, SIGNAL);
        libc::sigprocmask(libc::SIG_BLOCK, &signals, std::ptr::null_mut());
    }
    fcntl(&noisy, libc::F_SETOWN, nix::unistd::getpid().as_raw())?;
    fcntl(&noisy, F_SETSIG, SIGNAL)?;
    fcntl(&noisy, libc::F_SETFL, libc::O_ASYNC)?;
    gate.checkpoint()?;
    let reported = || -> Verdict<Vec<u64>> {
        let mut events = [EpollEvent::empty(); 4];
        let count = set.wait(&mut events, EpollTimeout::ZERO)?;
        Ok(events[..count].iter().map(EpollEvent::data).collect())
    };
    check_eq("what is reported", reported()?, vec![1])?;
    check_eq("what waited", text(&one)?.as_str(), "waits")?;
    check_eq("nothing more", reported()?, vec![])?;
    send(&other, b"comes", &[], None)?;
    check_eq("what came", reported()?, vec![2])?;
    check_eq("asynchronous notice", flags(&noisy)? & libc::O_ASYNC, libc::O_ASYNC)?;
    send(&waker, b"x", &[], None)?;
    // SAFETY: all-zero is valid for the structures, which outlive the call.
    let signal = unsafe {
        let mut signals: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut signals);
        libc::sigaddset(&mut signals, SIGNAL);
        libc::sigtimedwait(&signals, std::ptr::null_mut(), &std::mem::zeroed())
    };
    check_eq("the signal", signal, SIGNAL)
}
