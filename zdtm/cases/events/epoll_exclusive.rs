//! Two sets that watch one pipe exclusively: one event wakes one waiter.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_events::{epoll, reports, watch};
use crate::tools_files::{fdinfo, read_once, write_once};
use crate::tools_relatives::{arrive, await_call, await_word, shared_word};
use nix::unistd::pipe;
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let (reader, writer) = pipe()?;
    let mut children = Vec::new();
    let exclusive = libc::EPOLLIN | libc::EPOLLEXCLUSIVE;
    for n in 0..2 {
        children.push(gate.fork(|_| {
            let set = epoll()?;
            watch(&set, reader.as_raw_fd(), exclusive, n)?;
            check_eq("the report", reports(&set, crate::tools::patience())?, vec![(libc::EPOLLIN, n)])?;
            let shown = fdinfo(&set, "tfd")?;
            check_eq("exclusive", shown.contains("10000019"), true)?;
            arrive(word);
            read_once(&reader, 1)?;
            Ok(())
        })?);
    }
    children.iter().try_for_each(|child| await_call(*child, crate::tools_events::wait_call()))?;
    gate.checkpoint()?;
    write_once(&writer, b"1")?;
    await_word(word, 1)?;
    std::thread::sleep(std::time::Duration::from_millis(50));
    check_eq("how many were woken", word.load(Ordering::SeqCst), 1)?;
    write_once(&writer, b"2")?;
    children.into_iter().try_for_each(wait_ok)
}
