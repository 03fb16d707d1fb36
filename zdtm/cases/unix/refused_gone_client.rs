//! A connection that waits to be accepted and whose client is gone is refused: what that has sent cannot be read.
//@ dump-fails: "a client whose connection waits to be accepted has closed it"
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_unix::{accept, at, client, listener, send, text};
use nix::sys::socket::SockType;

pub fn run(gate: &mut Gate) -> Verdict {
    let here = at(&gate.path("listener"));
    let server = listener(SockType::Stream, &here)?;
    let one = client(SockType::Stream, &here)?;
    send(&one, b"bye", &[], None)?;
    drop(one);
    gate.checkpoint()?;
    check_eq("what was sent", text(&accept(&server)?)?.as_str(), "bye")
}
