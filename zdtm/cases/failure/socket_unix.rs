//! Unix sockets, a pair and a named listener, are refused by name; data under way arrive.
//@ dump-fails: "socket:["
use crate::gate::{Gate, Verdict, check_eq};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

pub fn run(gate: &mut Gate) -> Verdict {
    let (mut one, mut two) = UnixStream::pair()?;
    let listener = UnixListener::bind(gate.path("listener"))?;
    one.write_all(b"under way")?;
    gate.checkpoint()?;
    let mut text = [0; 9];
    two.read_exact(&mut text)?;
    check_eq("the data", &text, b"under way")?;
    UnixStream::connect(gate.path("listener"))?;
    listener.accept()?;
    Ok(())
}
