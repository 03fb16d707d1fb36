//! A datagram socket connected to the named one of a process outside the tree is connected to it again (--ext-unix-sk).
//@ options: --ext-unix-sk
//@ routes: [once, thrice, kill-engine] # leave-running kills the outsider with the tree
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_relatives::until;
use crate::tools_unix::{at, bound, client, peer_name, receive_with, send, text};
use nix::sys::socket::{MsgFlags, SockType};

pub fn run(gate: &mut Gate) -> Verdict {
    let (here, own) = (at(&gate.path("outside")), at(&gate.path("own")));
    crate::tools_unix::outsider(gate, || {
        let inbox = bound(SockType::Datagram, &here)?;
        loop {
            let got = receive_with(&inbox, 100, MsgFlags::empty())?;
            if !got.from.is_empty() {
                send(&inbox, &got.bytes, &[], Some(&got.from))?;
            }
        }
    })?;
    until("the outsider's socket", || Ok(gate.path("outside").exists()))?;
    let nameless = client(SockType::Datagram, &here)?;
    let named = bound(SockType::Datagram, &own)?;
    crate::tools_unix::connect_to(&named, &here)?;
    send(&named, b"before", &[], None)?;
    gate.checkpoint()?;
    check_eq("the peers", (peer_name(&nameless)?, peer_name(&named)?), (here.clone(), here))?;
    for word in ["before", "after"] {
        if word == "after" {
            send(&named, b"after", &[], None)?;
        }
        check_eq("the echo", receive_with(&named, 100, MsgFlags::empty())?.bytes, word.as_bytes().to_vec())?;
    }
    send(&nameless, b"x", &[], None)?;
    check_eq("no more", text(&named).is_err(), true)
}
