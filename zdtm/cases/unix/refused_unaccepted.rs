//! Data sent over a connection that waits to be accepted cannot be read: they are refused, and arrive.
//@ dump-fails: "over a connection that was not accepted yet"
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_unix::{accept, at, client, listener, send, text};
use nix::sys::socket::SockType;

pub fn run(gate: &mut Gate) -> Verdict {
    let here = at(&gate.path("listener"));
    let server = listener(SockType::Stream, &here)?;
    let one = client(SockType::Stream, &here)?;
    send(&one, b"early", &[], None)?;
    gate.checkpoint()?;
    check_eq("what was sent", text(&accept(&server)?)?.as_str(), "early")
}
