//! An epoll descriptor is refused by name; it still reports.
//@ dump-fails: "[eventpoll]"
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::write_once;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::unistd::pipe;

pub fn run(gate: &mut Gate) -> Verdict {
    let (reader, writer) = pipe()?;
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    epoll.add(&reader, EpollEvent::new(EpollFlags::EPOLLIN, 77))?;
    gate.checkpoint()?;
    write_once(&writer, b"x")?;
    let mut events = [EpollEvent::empty(); 2];
    check_eq("events", epoll.wait(&mut events, EpollTimeout::ZERO)?, 1)?;
    check_eq("its data", events[0].data(), 77)
}
