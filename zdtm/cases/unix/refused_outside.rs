//! A connection with a process outside the tree is refused with that process, and goes on.
//@ dump-fails: "is outside the tree"
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_relatives::{arrive, await_word, shared_word};
use crate::tools_unix::{pair, receive_with, send};
use nix::sys::socket::{MsgFlags, SockType};

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let (one, two) = pair(SockType::SeqPacket)?;
    crate::tools_unix::outsider(gate, || {
        arrive(word);
        loop {
            let got = receive_with(&two, 100, MsgFlags::empty())?;
            send(&two, &got.bytes, &[], None)?;
        }
    })?;
    await_word(word, 1)?;
    drop(two);
    gate.checkpoint()?;
    send(&one, b"still there", &[], None)?;
    check_eq("the echo", receive_with(&one, 100, MsgFlags::empty())?.bytes, b"still there".to_vec())
}
