//! Abstract names: with NULs and bytes that are no text inside, as long as may be, and chosen by the kernel.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_unix::{accept, bound, client, connect_to, hidden, listener, name, peer_name, send, talk, text, unix};
use nix::sys::socket::SockType;

pub fn run(gate: &mut Gate) -> Verdict {
    let odd = [hidden(gate, "odd")?.as_slice(), b"\0\0\xff\xfe\0"].concat();
    let mut long = odd.clone();
    long.resize(108, b'x');
    let server = listener(SockType::Stream, &odd)?;
    let one = client(SockType::Stream, &odd)?;
    let two = accept(&server)?;
    let inbox = bound(SockType::Datagram, &long)?;
    let own = unix(SockType::Datagram)?;
    // Without a name: the kernel chooses one.
    // SAFETY: two bytes of an address, the family alone.
    let done = unsafe {
        let family = libc::AF_UNIX as libc::sa_family_t;
        libc::bind(std::os::fd::AsRawFd::as_raw_fd(&own), (&raw const family).cast(), 2)
    };
    nix::errno::Errno::result(done)?;
    connect_to(&own, &long)?;
    let chosen = name(&own)?;
    send(&own, b"queued", &[], None)?;
    gate.checkpoint()?;
    check_eq("the odd name", (name(&server)?, name(&two)?, peer_name(&one)?), (odd.clone(), odd.clone(), odd.clone()))?;
    check_eq("the long name", (name(&inbox)?, peer_name(&own)?), (long.clone(), long))?;
    check_eq("the chosen name", name(&own)?, chosen)?;
    talk(&one, &two)?;
    talk(&client(SockType::Stream, &odd)?, &accept(&server)?)?;
    check_eq("the datagram", text(&inbox)?.as_str(), "queued")
}
