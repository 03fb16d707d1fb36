//! An out-of-band byte that waits is refused by name, and is there afterwards.
//@ dump-fails: "an out-of-band byte (MSG_OOB) waits in it"
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_unix::{pair, text};
use nix::sys::socket::{MsgFlags, SockType, recv};
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let (one, two) = pair(SockType::Stream)?;
    nix::sys::socket::send(one.as_raw_fd(), b"urgent", MsgFlags::MSG_OOB)?;
    gate.checkpoint()?;
    let mut byte = [0];
    check_eq("the byte", (recv(two.as_raw_fd(), &mut byte, MsgFlags::MSG_OOB)?, byte), (1, *b"t"))?;
    check_eq("what came before", text(&two)?.as_str(), "urgen")
}
