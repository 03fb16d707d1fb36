//! Connections shut down one way, with data left to read: the end follows the data, and the other way goes on.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_unix::{pair, receive, send, text};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, Shutdown, SockType, shutdown};
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let mut all = Vec::new();
    for kind in [SockType::Stream, SockType::SeqPacket] {
        let (one, two) = pair(kind)?;
        send(&one, b"the last", &[], None)?;
        shutdown(one.as_raw_fd(), Shutdown::Write)?;
        let (deaf, mute) = pair(kind)?;
        send(&mute, b"early", &[], None)?;
        shutdown(deaf.as_raw_fd(), Shutdown::Read)?;
        all.push((one, two, deaf, mute));
    }
    let (lone, other) = pair(SockType::Datagram)?;
    shutdown(lone.as_raw_fd(), Shutdown::Write)?;
    gate.checkpoint()?;
    let refused = |fd: &std::os::fd::OwnedFd| nix::sys::socket::send(fd.as_raw_fd(), b"x", MsgFlags::MSG_NOSIGNAL);
    for (one, two, deaf, mute) in &all {
        check_eq("what was left", text(two)?.as_str(), "the last")?;
        check_eq("the end", receive(two, 10)?.bytes.len(), 0)?;
        check_eq("sending where it was shut", refused(one), Err(Errno::EPIPE))?;
        send(two, b"still", &[], None)?;
        check_eq("the other way", text(one)?.as_str(), "still")?;
        check_eq("sending to the deaf", refused(mute), Err(Errno::EPIPE))?;
        check_eq("what came early", text(deaf)?.as_str(), "early")?;
        check_eq("then the end", receive(deaf, 10)?.bytes.len(), 0)?;
        send(deaf, b"but", &[], None)?;
        check_eq("the mute hears", text(mute)?.as_str(), "but")?;
    }
    check_eq("the datagram socket", refused(&lone), Err(Errno::EPIPE))?;
    send(&other, b"heard", &[], None)?;
    check_eq("the other datagram socket", text(&lone)?.as_str(), "heard")
}
