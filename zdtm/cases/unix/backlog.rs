//! Connections that wait to be accepted: they are accepted in the order in which they came, each by its client, also one
//! with a name of its own and one that was shut down; and there is room for as many more as there was.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::fcntl;
use crate::tools_unix::{
    accept, at, bound, client, connect_to, hidden, listen, name, peer_name, receive, send, text, unix,
};
use nix::errno::Errno;
use nix::sys::socket::{Shutdown, SockType, shutdown};
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let here = at(&gate.path("listener"));
    let listener = bound(SockType::Stream, &here)?;
    listen(&listener, 3)?;
    let first = client(SockType::Stream, &here)?;
    let second = bound(SockType::Stream, &hidden(gate, "client")?)?;
    connect_to(&second, &here)?;
    let third = client(SockType::Stream, &here)?;
    shutdown(third.as_raw_fd(), Shutdown::Write)?;
    gate.checkpoint()?;
    let fourth = client(SockType::Stream, &here)?;
    let fifth = unix(SockType::Stream)?;
    fcntl(&fifth, libc::F_SETFL, libc::O_NONBLOCK)?;
    let refused = nix::sys::socket::connect(fifth.as_raw_fd(), &crate::tools_unix::address(&here)?);
    check_eq("one too many", refused, Err(Errno::EAGAIN))?;
    for (number, end) in [&first, &second, &fourth].into_iter().enumerate() {
        send(end, number.to_string().as_bytes(), &[], None)?;
    }
    for (number, end) in ["0", "1", "", "2"].into_iter().zip([&first, &second, &third, &fourth]) {
        let server = accept(&listener)?;
        check_eq("what the client said", text(&server)?.as_str(), number)?;
        check_eq("their names", (name(&server)?, peer_name(end)?), (here.clone(), here.clone()))?;
        check_eq("the client's name", name(end)?, peer_name(&server)?)?;
        send(&server, b"well", &[], None)?;
        check_eq("what the server said", receive(end, 10)?.bytes, b"well".to_vec())?;
    }
    Ok(())
}
