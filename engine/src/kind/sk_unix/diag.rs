//! What the kernel says of all unix sockets of this network namespace (sock_diag(7)), asked once; and whose a socket is.

use crate::error::{Doing, Result};
use crate::netlink::{DUMP, Message, REQUEST, ask, attribute};
use nix::sys::socket::SockProtocol;
use std::collections::HashMap;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// linux/unix_diag.h: what is asked for, and the attributes that come.
const SHOW: u32 = 0x1 | 0x2 | 0x4 | 0x8 | 0x10;
const NAME: u16 = 0;
const VFS: u16 = 1;
const PEER: u16 = 2;
const ICONS: u16 = 3;
const RQLEN: u16 = 4;
const SHUTDOWN: u16 = 6;
/// Bytes of struct unix_diag_msg.
const HEAD: usize = 16;

/// A unix socket.
#[derive(Debug, Clone, Default)]
pub struct Socket {
    /// SOCK_*.
    pub kind: u8,
    /// TCP_* as the family uses them: established, close, listen.
    pub state: u8,
    /// sun_path as it was bound; empty for none.
    pub name: Vec<u8>,
    /// Inode and device of the file that it is bound to, as the kernel packs them.
    pub file: Option<(u32, u32)>,
    /// The inode of its peer: 0 for one that is closed or was not accepted yet.
    pub peer: Option<u32>,
    /// Of a listener: the inodes of the clients whose connections wait, 0 for one that is closed.
    pub waiting: Vec<u32>,
    /// Of a listener: how many connections may wait.
    pub backlog: u32,
    /// RCV_SHUTDOWN is 1, SEND_SHUTDOWN 2.
    pub shutdown: u8,
}

/// All unix sockets that somebody has open, by inode.
#[derive(Debug, Default)]
pub struct Diag {
    sockets: HashMap<u32, Socket>,
    /// Of clients whose connections wait: the listener.
    waiting: HashMap<u32, u32>,
}

impl Diag {
    /// Asks the kernel.
    pub fn read() -> Result<Diag> {
        // struct unix_diag_req: family, protocol, padding, states, inode, what to show, cookie.
        let words = [u32::MAX, 0, SHOW, 0, 0].map(u32::to_ne_bytes).concat();
        let body = [&[libc::AF_UNIX as u8, 0, 0, 0][..], &words].concat();
        let message = Message::new(SOCK_DIAG_BY_FAMILY, REQUEST | DUMP, &body);
        let answers = ask(SockProtocol::NetlinkSockDiag, [message])
            .doing(|| "ask the kernel about unix sockets")
            .map_err(|e| e.with_help("it needs CONFIG_UNIX_DIAG: load the module unix_diag"))?;
        let sockets: HashMap<u32, Socket> = answers.iter().filter_map(|(_, body)| parse(body)).collect();
        let waiting = sockets.iter().flat_map(|(inode, socket)| socket.waiting.iter().map(|client| (*client, *inode)));
        Ok(Diag { waiting: waiting.collect(), sockets })
    }

    /// The socket with an inode.
    pub fn get(&self, inode: u32) -> Option<&Socket> {
        self.sockets.get(&inode)
    }

    /// The listener in whose queue a client's connection waits.
    pub fn listener_of(&self, client: u32) -> Option<u32> {
        self.waiting.get(&client).copied()
    }

    /// Whether a socket of this host is bound to the file of that inode and device, as stat(2) has them.
    pub fn is_bound(&self, inode: u64, device: u64) -> bool {
        let device = (nix::sys::stat::major(device) << 20 | nix::sys::stat::minor(device)) as u32;
        self.sockets.values().any(|socket| socket.file == Some((inode as u32, device)))
    }
}

fn parse(body: &[u8]) -> Option<(u32, Socket)> {
    let word = |bytes: &[u8], at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (head, attributes) = body.split_at_checked(HEAD)?;
    let value = |kind| attribute(attributes, kind);
    let waiting = value(ICONS).unwrap_or_default();
    let socket = Socket {
        kind: head[1],
        state: head[2],
        name: value(NAME).unwrap_or_default().to_vec(),
        file: value(VFS).and_then(|bytes| Some((word(bytes, 0)?, word(bytes, 4)?))),
        peer: value(PEER).and_then(|bytes| word(bytes, 0)),
        waiting: (0..waiting.len() / 4).filter_map(|i| word(waiting, i * 4)).collect(),
        backlog: value(RQLEN).and_then(|bytes| word(bytes, 4)).unwrap_or(0),
        shutdown: value(SHUTDOWN).and_then(|bytes| bytes.first().copied()).unwrap_or(0),
    };
    Some((word(head, 4)?, socket))
}

/// A socket and a process that has it, in words. Slow: for errors.
pub fn owner(inode: u32) -> String {
    let link = format!("socket:[{inode}]");
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes.filter(|p| p.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit())) {
        let fds = std::fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        if fds.into_iter().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == link.as_str())) {
            let comm = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return format!("socket {inode} of process {} ({})", process.file_name().display(), comm.trim());
        }
    }
    format!("socket {inode}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::{UnixListener, UnixStream};

    fn inode(fd: &impl AsRawFd) -> u32 {
        std::fs::metadata(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap().ino() as u32
    }

    #[test]
    fn the_kernel_tells_of_pairs_listeners_and_those_who_wait() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let (a, b) = UnixStream::pair().unwrap();
        let listener = UnixListener::bind(&path).unwrap();
        let client = UnixStream::connect(&path).unwrap();
        let closed: OwnedFd = UnixStream::connect(&path).unwrap().into();
        drop(closed);
        let diag = Diag::read().unwrap();
        assert_eq!(diag.get(inode(&a)).unwrap().peer, Some(inode(&b)));
        let found = diag.get(inode(&listener)).unwrap();
        assert_eq!((found.state, &found.waiting), (10, &vec![inode(&client), 0]));
        assert_eq!(diag.listener_of(inode(&client)), Some(inode(&listener)));
        assert_eq!(diag.get(inode(&client)).unwrap().peer, Some(0));
        let file = std::fs::metadata(&path).unwrap();
        assert!(diag.is_bound(file.ino(), file.dev()));
        assert!(owner(inode(&a)).contains(&format!("process {}", std::process::id())));
    }

    #[test]
    fn hostile_answers_are_skipped() {
        assert!(parse(&[]).is_none());
        assert!(parse(&[0; 15]).is_none());
        assert!(parse(&[1, 1, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0]).is_some());
    }
}
