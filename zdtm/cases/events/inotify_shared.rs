//! Two instances watch one file; a child shares one of them and waits in it.
//@ needs: [kernel:inotify]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{fcntl, flags, read_once};
use crate::tools_relatives::await_call;
use crate::tools_watch::{add, check_events, inotify};
use libc::{IN_ATTRIB, IN_OPEN};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;

pub fn run(gate: &mut Gate) -> Verdict {
    let path = gate.path("file");
    fs::write(&path, b"")?;
    let (mine, shared) = (inotify()?, inotify()?);
    fcntl(&shared, libc::F_SETFL, 0)?;
    let on_mine = add(&mine, &path, IN_OPEN)?;
    add(&shared, gate.dir(), libc::IN_UNMOUNT)?;
    let on_shared = add(&shared, &path, IN_ATTRIB)?;
    let child = gate.fork(|_| {
        let event = read_once(&shared, 16)?;
        check_eq("the event's watch", event[..4].to_vec(), on_shared.to_ne_bytes().to_vec())?;
        check_eq("the event's mask", event[4..8].to_vec(), IN_ATTRIB.to_ne_bytes().to_vec())
    })?;
    await_call(child, libc::SYS_read)?;
    gate.checkpoint()?;
    check_eq(
        "the flags",
        (flags(&mine)? & libc::O_NONBLOCK, flags(&shared)? & libc::O_NONBLOCK),
        (libc::O_NONBLOCK, 0),
    )?;
    File::open(&path)?;
    check_events("an open", &mine, &[(on_mine, IN_OPEN, "")])?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    wait_ok(child)
}
