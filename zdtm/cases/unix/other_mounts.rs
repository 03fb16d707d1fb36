//! A connection over a socket whose file lies on a mount that only a thread has seen, in a mount namespace of its own that
//! is gone: it goes on, and the names stay.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_unix::{accept, client, listener, name, peer_name, talk};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::SockType;

pub fn run(gate: &mut Gate) -> Verdict {
    let dir = gate.path("mount");
    std::fs::create_dir(&dir)?;
    let here = crate::tools_unix::at(&dir.join("socket"));
    let make = || -> Verdict<_> {
        unshare(CloneFlags::CLONE_NEWNS)?;
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
        mount(Some("inner"), &dir, Some("tmpfs"), MsFlags::empty(), none)?;
        let server = listener(SockType::SeqPacket, &here)?;
        let one = client(SockType::SeqPacket, &here)?;
        Ok((one, accept(&server)?))
    };
    let made = std::thread::scope(|scope| scope.spawn(make).join());
    let Ok(made) = made else { return crate::gate::fail("the thread died") };
    let (one, two) = made?;
    gate.checkpoint()?;
    check_eq("the names", (name(&two)?, peer_name(&one)?), (here.clone(), here))?;
    talk(&one, &two)
}
