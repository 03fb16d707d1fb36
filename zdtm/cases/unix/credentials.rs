//! Credentials of queued messages: of a child that is alive, of one that is gone and had another user, of this process
//! with ids of its own choice, and none of a message sent before anybody asked. The stream ends a read where they change.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_relatives::{arrive, await_word, shared_word};
use crate::tools_unix::{Message, TYPES, is_empty, pair, receive, send, set_option};
use nix::sys::socket::{ControlMessage, MsgFlags, SockType, UnixAddr, UnixCredentials, sendmsg};
use nix::unistd::{Gid, Uid, getpid, setresgid, setresuid};
use std::io::IoSlice;
use std::os::fd::AsRawFd;

const NOBODY: (u32, u32) = (65_531, 65_532);

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let mut pairs = Vec::new();
    for kind in TYPES {
        let (one, two) = pair(kind)?;
        send(&one, b"early", &[], None)?;
        set_option(&two, libc::SO_PASSCRED, 1)?;
        pairs.push((kind, one, two));
    }
    let alive = gate.fork(|gate| {
        pairs.iter().try_for_each(|(_, one, _)| send(one, b"alive", &[], None))?;
        arrive(word);
        gate.wait();
        Ok(())
    })?;
    await_word(word, 1)?;
    let dead = gate.fork(|_| {
        setresgid(Gid::from_raw(NOBODY.1), Gid::from_raw(NOBODY.1), Gid::from_raw(NOBODY.1))?;
        setresuid(Uid::from_raw(NOBODY.0), Uid::from_raw(NOBODY.0), Uid::from_raw(NOBODY.0))?;
        pairs.iter().try_for_each(|(_, one, _)| send(one, b"dead", &[], None))
    })?;
    wait_ok(dead)?;
    let chosen = UnixCredentials::from(libc::ucred { pid: alive.as_raw(), uid: 5, gid: 6 });
    for (_, one, _) in &pairs {
        let messages = [ControlMessage::ScmCredentials(&chosen)];
        sendmsg::<UnixAddr>(one.as_raw_fd(), &[IoSlice::new(b"chosen")], &messages, MsgFlags::empty(), None)?;
    }
    gate.checkpoint()?;
    let who = |message: &Message| message.creds.map(|who| (who.pid(), who.uid(), who.gid()));
    for (_, one, two) in &pairs {
        for (bytes, creds) in [
            (&b"early"[..], (0, 65_534, 65_534)),
            (b"alive", (alive.as_raw(), 0, 0)),
            (b"dead", (dead.as_raw(), NOBODY.0, NOBODY.1)),
            (b"chosen", (alive.as_raw(), 5, 6)),
        ] {
            let got = receive(two, 100)?;
            check_eq("a message and its sender", (got.bytes.as_slice(), who(&got)), (bytes, Some(creds)))?;
        }
        is_empty(two)?;
        send(one, b"now", &[], None)?;
        check_eq("the sender of a new one", who(&receive(two, 10)?), Some((getpid().as_raw(), 0, 0)))?;
    }
    check_eq("the first type", pairs[0].0, SockType::Stream)?;
    wait_ok(alive)
}
