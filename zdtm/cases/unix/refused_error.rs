//! An error that a seqpacket socket has to report before messages that wait is refused: whoever looks takes it. It is
//! reported afterwards, and the messages come.
//@ dump-fails: "it has an error to report (SO_ERROR)"
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_unix::{pair, send, text};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockType};
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let (one, two) = pair(SockType::SeqPacket)?;
    send(&one, b"unheard", &[], None)?;
    send(&two, b"heard", &[], None)?;
    drop(two);
    gate.checkpoint()?;
    let first = nix::sys::socket::recv(one.as_raw_fd(), &mut [0; 9], MsgFlags::MSG_DONTWAIT);
    check_eq("the error", first, Err(Errno::ECONNRESET))?;
    check_eq("the message", text(&one)?.as_str(), "heard")
}
