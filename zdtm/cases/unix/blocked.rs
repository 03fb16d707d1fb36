//! Tasks that wait in accept, in connect to a listener that is full, in receiving and in sending go on waiting.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{fcntl, read_once, write_once};
use crate::tools_relatives::await_call;
use crate::tools_unix::{accept, at, bound, client, listen, listener, pair};
use nix::errno::Errno;
use nix::sys::socket::SockType;

pub fn run(gate: &mut Gate) -> Verdict {
    let (quiet, full) = (at(&gate.path("quiet")), at(&gate.path("full")));
    let awaited = listener(SockType::Stream, &quiet)?;
    let crowded = bound(SockType::Stream, &full)?;
    listen(&crowded, 0)?;
    let first = client(SockType::Stream, &full)?;
    let (to_read, silent) = pair(SockType::SeqPacket)?;
    let (stuffed, to_write) = pair(SockType::Stream)?;
    fcntl(&to_write, libc::F_SETFL, libc::O_NONBLOCK)?;
    let mut sent = 0;
    loop {
        match nix::unistd::write(&to_write, &[b'.'; 4096]) {
            Ok(more) => sent += more,
            Err(Errno::EAGAIN) => break,
            Err(e) => return Err(e.into()),
        }
    }
    fcntl(&to_write, libc::F_SETFL, 0)?;
    let accepting = gate.fork(|_| write_once(&accept(&awaited)?, b"accepted"))?;
    let connecting = gate.fork(|_| write_once(&client(SockType::Stream, &full)?, b"connected"))?;
    let reading = gate.fork(|_| check_eq("the message", read_once(&to_read, 100)?, b"at last".to_vec()))?;
    let writing = gate.fork(|_| write_once(&to_write, b"the end"))?;
    await_call(accepting, ACCEPT)?;
    await_call(connecting, libc::SYS_connect)?;
    await_call(reading, libc::SYS_read)?;
    await_call(writing, libc::SYS_write)?;
    gate.checkpoint()?;
    check_eq("who is accepted", read_once(&client(SockType::Stream, &quiet)?, 100)?, b"accepted".to_vec())?;
    let server = accept(&crowded)?;
    write_once(&first, b"first")?;
    check_eq("the first client", read_once(&server, 100)?, b"first".to_vec())?;
    check_eq("the second", read_once(&accept(&crowded)?, 100)?, b"connected".to_vec())?;
    write_once(&silent, b"at last")?;
    let mut got = Vec::new();
    while got.len() < sent + 7 {
        got.extend(read_once(&stuffed, 1 << 20)?);
    }
    check_eq("how the long text ends", &got[sent..], &b"the end"[..])?;
    [accepting, connecting, reading, writing].into_iter().try_for_each(wait_ok)
}

/// The number of the call that accept(3) makes.
#[cfg(not(cpu = "s390x"))]
const ACCEPT: i64 = libc::SYS_accept;
#[cfg(cpu = "s390x")]
const ACCEPT: i64 = libc::SYS_accept4;
