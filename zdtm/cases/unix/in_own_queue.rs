//! A socket that is under way in its own queue, and two that are under way in each other's, closed everywhere else.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_files::{same_description, stat};
use crate::tools_unix::{pair, receive, send, talk};
use nix::sys::socket::SockType;
use nix::unistd::getpid;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let (one, two) = pair(SockType::Stream)?;
    send(&one, b"yourself", &[&two], None)?;
    send(&two, b"the other", &[&two, &one], None)?;
    // Only a queue leads to these two, whose queues lead to each other.
    let (outer, inner) = (pair(SockType::Datagram)?, pair(SockType::SeqPacket)?);
    send(&inner.0, b"a", &[&inner.0, &outer.0], None)?;
    send(&inner.1, b"b", &[&inner.1], None)?;
    send(&outer.0, b"box", &[&inner.1], None)?;
    drop(inner);
    gate.checkpoint()?;
    let got = receive(&two, 100)?;
    check_eq("its message", got.bytes, b"yourself".to_vec())?;
    check("it came itself", same_description(&two, getpid(), got.rights[0].as_raw_fd())?)?;
    let got = receive(&one, 100)?;
    let both = [
        same_description(&two, getpid(), got.rights[0].as_raw_fd())?,
        same_description(&one, getpid(), got.rights[1].as_raw_fd())?,
    ];
    check_eq("both came", both, [true, true])?;
    talk(&one, &two)?;
    let boxed = receive(&outer.1, 100)?;
    let inner = receive(&boxed.rights[0], 100)?;
    check_eq("what was in the inner queue", inner.bytes, b"a".to_vec())?;
    check("the outer socket was there", same_description(&outer.0, getpid(), inner.rights[1].as_raw_fd())?)?;
    let back = receive(&inner.rights[0], 100)?;
    check_eq("what the other held", back.bytes, b"b".to_vec())?;
    check_eq("itself", stat(&back.rights[0])?.st_ino, stat(&boxed.rights[0])?.st_ino)?;
    talk(&inner.rights[0], &boxed.rights[0])
}
