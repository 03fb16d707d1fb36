//! Sockets whose files are deleted, one of them with its directory, and one in whose place another socket is: those who
//! are connected go on, the names stay what they were, and no file appears.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_unix::{accept, at, bound, client, connect_to, listener, name, peer_name, send, talk, text, unix};
use nix::sys::socket::SockType;
use std::fs;

pub fn run(gate: &mut Gate) -> Verdict {
    let (place, dir) = (gate.path("server"), gate.path("dir"));
    let old = listener(SockType::Stream, &at(&place))?;
    let one = client(SockType::Stream, &at(&place))?;
    let two = accept(&old)?;
    fs::remove_file(&place)?;
    let new = listener(SockType::Stream, &at(&place))?;
    fs::create_dir(&dir)?;
    let inside = at(&dir.join("inbox"));
    let inbox = bound(SockType::Datagram, &inside)?;
    let sender = unix(SockType::Datagram)?;
    connect_to(&sender, &inside)?;
    send(&sender, b"queued", &[], None)?;
    fs::remove_dir_all(&dir)?;
    let unused = bound(SockType::Stream, &at(&gate.path("unused")))?;
    fs::remove_file(gate.path("unused"))?;
    gate.checkpoint()?;
    let here = at(&place);
    check_eq(
        "the old listener",
        (name(&old)?, name(&two)?, peer_name(&one)?),
        (here.clone(), here.clone(), here.clone()),
    )?;
    talk(&one, &two)?;
    talk(&client(SockType::Stream, &here)?, &accept(&new)?)?;
    check_eq("the datagram", text(&inbox)?.as_str(), "queued")?;
    check_eq("the inbox", (name(&inbox)?, peer_name(&sender)?), (inside.clone(), inside))?;
    send(&sender, b"more", &[], None)?;
    check_eq("another datagram", text(&inbox)?.as_str(), "more")?;
    check_eq("the unused one", name(&unused)?, at(&gate.path("unused")))?;
    check("nothing appeared", !dir.exists() && !gate.path("unused").exists())?;
    let hidden = fs::read_dir(gate.dir())?.flatten().filter(|e| e.file_name().to_string_lossy().starts_with(".stasis"));
    check_eq("directories of the engine's", hidden.count(), 0)
}
