//! Many connections of one listener, with data, by two processes; the order in which they are open means nothing.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_unix::{accept, at, client, listener, send, talk, text};
use nix::sys::socket::SockType;

const COUNT: usize = 150;

pub fn run(gate: &mut Gate) -> Verdict {
    let here = at(&gate.path("listener"));
    let server = listener(SockType::Stream, &here)?;
    let mut ends = Vec::new();
    for number in 0..COUNT {
        let one = client(SockType::Stream, &here)?;
        let two = accept(&server)?;
        send(&one, number.to_string().as_bytes(), &[], None)?;
        ends.push((one, two));
    }
    gate.checkpoint()?;
    for (number, (one, two)) in ends.iter().enumerate() {
        check_eq("what was sent", text(two)?, number.to_string())?;
        talk(one, two)?;
    }
    talk(&client(SockType::Stream, &here)?, &accept(&server)?)
}
