//! Connections whose other end is closed: what it sent is read, then comes the end, or the error that it left by closing
//! with data unread, once. Datagram sockets are refused when they send.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_unix::{accept, at, bound, client, hidden, listener, name, pair, peer_creds, receive, send, text};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockType};
use std::os::fd::{AsRawFd, OwnedFd};

pub fn run(gate: &mut Gate) -> Verdict {
    let mut all = Vec::new();
    for kind in [SockType::Stream, SockType::SeqPacket] {
        let (quiet, _) = pair(kind)?;
        let (told, other) = pair(kind)?;
        send(&other, b"farewell", &[], None)?;
        drop(other);
        let (hurt, other) = pair(kind)?;
        send(&hurt, b"unheard", &[], None)?;
        drop(other);
        all.push((kind, quiet, told, hurt));
    }
    let (both, other) = pair(SockType::Stream)?;
    send(&both, b"unheard", &[], None)?;
    send(&other, b"said before", &[], None)?;
    drop(other);
    let here = at(&gate.path("listener"));
    let server = listener(SockType::Stream, &here)?;
    let lost_client = client(SockType::Stream, &here)?;
    drop(accept(&server)?);
    drop(client(SockType::Stream, &here)?);
    let lost_server = accept(&server)?;
    let (lone, other) = pair(SockType::Datagram)?;
    send(&other, b"last words", &[], None)?;
    drop(other);
    let inbox = bound(SockType::Datagram, &hidden(gate, "inbox")?)?;
    let sender = client(SockType::Datagram, &hidden(gate, "inbox")?)?;
    drop(inbox);
    let creds = peer_creds(&lost_server)?;
    gate.checkpoint()?;
    let refused = |fd: &OwnedFd| nix::sys::socket::send(fd.as_raw_fd(), b"x", MsgFlags::MSG_NOSIGNAL);
    let read = |fd: &OwnedFd| nix::sys::socket::recv(fd.as_raw_fd(), &mut [0; 99], MsgFlags::MSG_DONTWAIT);
    for (kind, quiet, told, hurt) in &all {
        check_eq("the quiet one's end", receive(quiet, 9)?.bytes.len(), 0)?;
        check_eq("the farewell", text(told)?.as_str(), "farewell")?;
        check_eq("and its end", read(told), Ok(0))?;
        check_eq("the error of a connection closed with data", (kind, read(hurt)), (kind, Err(Errno::ECONNRESET)))?;
        check_eq("and its end", read(hurt), Ok(0))?;
        check_eq("writing to nobody", refused(quiet), Err(Errno::EPIPE))?;
    }
    check_eq("what was said before", text(&both)?.as_str(), "said before")?;
    check_eq("the error after it", read(&both), Err(Errno::ECONNRESET))?;
    check_eq("the client's end", read(&lost_client), Ok(0))?;
    check_eq("the server's end", (read(&lost_server), name(&lost_server)?), (Ok(0), here))?;
    check_eq("who connected", peer_creds(&lost_server)?, creds)?;
    check_eq("last words", text(&lone)?.as_str(), "last words")?;
    check_eq("a datagram for nobody", refused(&lone), Err(Errno::ECONNREFUSED))?;
    check_eq("once more", refused(&lone), Err(Errno::ENOTCONN))?;
    check_eq("another", refused(&sender), Err(Errno::ECONNREFUSED))?;
    check_eq("once more", refused(&sender), Err(Errno::ENOTCONN))
}
