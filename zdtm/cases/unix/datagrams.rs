//! Datagrams in a queue keep their bounds and their senders' names: of a sender that is connected, one that has closed,
//! one without a name, one in the file system whose file is gone. Many send to one, which is connected
//! to one of them since.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_unix::{at, bound, client, connect_to, hidden, is_empty, peer_name, receive, send, unix};
use nix::errno::Errno;
use nix::sys::socket::SockType;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    const KIND: SockType = SockType::Datagram;
    let here = at(&gate.path("inbox"));
    let inbox = bound(KIND, &here)?;
    let abstract_name = hidden(gate, "named")?;
    let named = bound(KIND, &abstract_name)?;
    let friend = bound(KIND, &at(&gate.path("friend")))?;
    let gone = bound(KIND, &at(&gate.path("gone")))?;
    let nameless = client(KIND, &here)?;
    connect_to(&friend, &here)?;
    send(&named, b"one", &[], Some(&here))?;
    send(&gone, &[7; 3000], &[], Some(&here))?;
    send(&nameless, b"3", &[], None)?;
    send(&friend, b"four", &[], None)?;
    drop(gone);
    std::fs::remove_file(gate.path("gone"))?;
    send(&nameless, b"five", &[], None)?;
    connect_to(&inbox, &at(&gate.path("friend")))?;
    for number in 6..26 {
        // More than others may send: it is the peer.
        send(&friend, &[number], &[], None)?;
    }
    gate.checkpoint()?;
    let friends = at(&gate.path("friend"));
    let wanted: [(&[u8], &[u8]); 5] = [
        (b"one", &abstract_name),
        (&[7; 3000], &at(&gate.path("gone"))),
        (b"3", b""),
        (b"four", &friends),
        (b"five", b""),
    ];
    for (bytes, from) in wanted {
        let got = receive(&inbox, 5000)?;
        check_eq("a datagram", (got.bytes.as_slice(), got.from.as_slice()), (bytes, from))?;
    }
    for number in 6..26 {
        let got = receive(&inbox, 100)?;
        check_eq("a friend's datagram", (got.bytes, got.from), (vec![number], friends.clone()))?;
    }
    is_empty(&inbox)?;
    check_eq("the peers", (peer_name(&nameless)?, peer_name(&inbox)?), (here.clone(), friends))?;
    let refused = nix::sys::socket::send(nameless.as_raw_fd(), b"x", nix::sys::socket::MsgFlags::empty());
    check_eq("who is not the peer", refused, Err(Errno::EPERM))?;
    check_eq("who is new", connect_to(&unix(KIND)?, &here).is_err(), true)?;
    send(&inbox, b"back", &[], None)?;
    check_eq("what came back", receive(&friend, 10)?.bytes, b"back".to_vec())
}
