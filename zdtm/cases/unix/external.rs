//! Connections with a process outside the tree that the caller gives up (`--external unix[INO]`), by the inode of either
//! end: what had come is read, then comes the end, and sending fails.
//@ routes: [once, kill-engine] # the inodes are others after a restore, and a tree that is left running keeps its peers
use crate::gate::{Gate, Verdict, check_eq, fail};
use crate::tools_files::stat;
use crate::tools_relatives::{arrive, await_word, shared_word};
use crate::tools_unix::{TYPES, is_empty, pair, receive, send};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockType};
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let (mut options, mut pairs) = (Vec::new(), Vec::new());
    for (index, kind) in TYPES.into_iter().enumerate() {
        let (one, two) = pair(kind)?;
        let named = if index == 0 { &two } else { &one };
        options.extend(["--external".to_owned(), format!("unix[{}]", stat(named)?.st_ino)]);
        pairs.push((kind, one, two));
    }
    crate::tools_unix::outsider(gate, || {
        for (_, _, two) in &pairs {
            send(two, b"from outside", &[], None)?;
        }
        arrive(word);
        loop {
            nix::unistd::pause();
        }
    })?;
    await_word(word, 1)?;
    let ours: Vec<_> = pairs.into_iter().map(|(kind, one, _)| (kind, one)).collect();
    gate.dump_options(&options)?;
    gate.checkpoint()?;
    for (kind, fd) in &ours {
        check_eq("what had come", receive(fd, 100)?.bytes, b"from outside".to_vec())?;
        let refused = match *kind {
            SockType::Datagram => is_empty(fd).map(|()| Errno::ECONNREFUSED)?,
            _ => {
                check_eq("the end", receive(fd, 100)?.bytes, Vec::new())?;
                Errno::EPIPE
            }
        };
        let sent = nix::sys::socket::send(fd.as_raw_fd(), b"x", MsgFlags::MSG_NOSIGNAL);
        if sent != Err(refused) {
            return fail(format!("sending ends with {sent:?}"));
        }
    }
    Ok(())
}
