//! Sockets bound to relative names, also through `..`, a symbolic link and by a process that has moved on since; and one
//! whose file was renamed: the names stay as they were given, the files are where they were.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_unix::{accept, at, bound, client, listener, name, send, talk, text, unix};
use nix::sys::socket::SockType;
use nix::unistd::chdir;
use std::fs;

pub fn run(gate: &mut Gate) -> Verdict {
    let inner = gate.path("one/two");
    fs::create_dir_all(&inner)?;
    chdir(&inner)?;
    let here = listener(SockType::Stream, b"here")?;
    let above = listener(SockType::Stream, b"./../above")?;
    chdir(gate.dir())?;
    std::os::unix::fs::symlink("one/two", "link")?;
    let by_link = bound(SockType::Datagram, b"link/linked")?;
    let moved = listener(SockType::SeqPacket, &at(&gate.path("first")))?;
    fs::rename("first", "one/second")?;
    chdir("/")?;
    gate.checkpoint()?;
    let names = [name(&here)?, name(&above)?, name(&by_link)?, name(&moved)?];
    let wanted = [b"here".to_vec(), b"./../above".to_vec(), b"link/linked".to_vec(), at(&gate.path("first"))];
    check_eq("the names", names, wanted)?;
    talk(&client(SockType::Stream, &at(&inner.join("here")))?, &accept(&here)?)?;
    talk(&client(SockType::Stream, &at(&gate.path("one/above")))?, &accept(&above)?)?;
    talk(&client(SockType::SeqPacket, &at(&gate.path("one/second")))?, &accept(&moved)?)?;
    send(&unix(SockType::Datagram)?, b"found", &[], Some(&at(&inner.join("linked"))))?;
    check_eq("what came by the link", text(&by_link)?.as_str(), "found")?;
    let gone = gate.path("first").exists();
    check_eq("whether the first name is there again", gone, false)
}
