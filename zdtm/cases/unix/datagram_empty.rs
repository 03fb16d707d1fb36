//! Empty messages among others come where they belong, with and without a sender's name.
//@ routes: [once, thrice] # what one dump has looked at, the next one cannot see
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_unix::{bound, hidden, is_empty, pair, receive, send, unix};
use nix::sys::socket::SockType;

pub fn run(gate: &mut Gate) -> Verdict {
    let (here, there) = (hidden(gate, "here")?, hidden(gate, "there")?);
    let (inbox, named) = (bound(SockType::Datagram, &here)?, bound(SockType::Datagram, &there)?);
    let nameless = unix(SockType::Datagram)?;
    send(&named, b"", &[], Some(&here))?;
    send(&nameless, b"", &[], Some(&here))?;
    send(&named, b"full", &[], Some(&here))?;
    send(&nameless, b"", &[], Some(&here))?;
    let (one, two) = pair(SockType::SeqPacket)?;
    for bytes in [&b"a"[..], b"", b"b"] {
        send(&one, bytes, &[], None)?;
    }
    gate.checkpoint()?;
    for (bytes, from) in [(&b""[..], &there[..]), (b"", b""), (b"full", &there), (b"", b"")] {
        let got = receive(&inbox, 10)?;
        check_eq("a message", (got.bytes.as_slice(), got.from.as_slice()), (bytes, from))?;
    }
    is_empty(&inbox)?;
    for bytes in [&b"a"[..], b"", b"b"] {
        check_eq("a message of a pair", receive(&two, 10)?.bytes.as_slice(), bytes)?;
    }
    is_empty(&two)
}
