//! Unix sockets: messages with what comes along, names, options, credentials.

use crate::gate::{Gate, Verdict, check_eq, fail};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrStorage, UnixAddr,
    UnixCredentials, getsockname, recvmsg, sendmsg, socket, socketpair,
};
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

/// The types.
pub const TYPES: [SockType; 3] = [SockType::Stream, SockType::Datagram, SockType::SeqPacket];

/// A socket pair.
pub fn pair(kind: SockType) -> Verdict<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, kind, None, SockFlag::empty())?)
}

/// A socket.
pub fn unix(kind: SockType) -> Verdict<OwnedFd> {
    Ok(socket(AddressFamily::Unix, kind, SockFlag::empty(), None)?)
}

/// A socket bound to a name: `sun_path`, with a NUL in front for an abstract one.
pub fn bound(kind: SockType, name: &[u8]) -> Verdict<OwnedFd> {
    let fd = unix(kind)?;
    nix::sys::socket::bind(fd.as_raw_fd(), &address(name)?)?;
    Ok(fd)
}

/// The address with a name.
pub fn address(name: &[u8]) -> Verdict<UnixAddr> {
    Ok(match name.split_first() {
        Some((0, rest)) => UnixAddr::new_abstract(rest)?,
        _ => UnixAddr::new(name)?,
    })
}

/// Has a socket listen.
pub fn listen(fd: &OwnedFd, backlog: i32) -> Verdict {
    // SAFETY: integers only.
    Errno::result(unsafe { libc::listen(fd.as_raw_fd(), backlog) })?;
    Ok(())
}

/// A listener.
pub fn listener(kind: SockType, name: &[u8]) -> Verdict<OwnedFd> {
    let fd = bound(kind, name)?;
    listen(&fd, 8)?;
    Ok(fd)
}

/// Connects a socket.
pub fn connect_to(fd: &OwnedFd, name: &[u8]) -> Verdict {
    Ok(nix::sys::socket::connect(fd.as_raw_fd(), &address(name)?)?)
}

/// A new socket connected to a name.
pub fn client(kind: SockType, name: &[u8]) -> Verdict<OwnedFd> {
    let fd = unix(kind)?;
    connect_to(&fd, name)?;
    Ok(fd)
}

/// Takes the connection that has waited longest.
pub fn accept(listener: &OwnedFd) -> Verdict<OwnedFd> {
    let fd = nix::sys::socket::accept(listener.as_raw_fd())?;
    // SAFETY: the kernel has just made it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The name of a socket as `sun_path` counts.
pub fn name(fd: &OwnedFd) -> Verdict<Vec<u8>> {
    Ok(bytes_of(Some(getsockname::<UnixAddr>(fd.as_raw_fd())?)))
}

/// The name of a socket's peer.
pub fn peer_name(fd: &OwnedFd) -> Verdict<Vec<u8>> {
    Ok(bytes_of(Some(nix::sys::socket::getpeername::<UnixAddr>(fd.as_raw_fd())?)))
}

fn bytes_of(address: Option<UnixAddr>) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    let Some(address) = address else { return Vec::new() };
    match (address.path(), address.as_abstract()) {
        (Some(path), _) => path.as_os_str().as_bytes().to_vec(),
        (None, Some(name)) => [b"\0", name].concat(),
        (None, None) => Vec::new(),
    }
}

/// An abstract name of this run's own: cases of other runs may be in the same network namespace.
pub fn hidden(gate: &Gate, name: &str) -> Verdict<Vec<u8>> {
    let own = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(gate.dir())?);
    Ok(format!("\0stasis-{own}-{name}").into_bytes())
}

/// A path as a name.
pub fn at(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().to_vec()
}

/// Sends a message with descriptors, to a name or to the peer.
pub fn send(fd: &OwnedFd, bytes: &[u8], rights: &[&dyn AsRawFd], to: Option<&[u8]>) -> Verdict {
    let rights: Vec<i32> = rights.iter().map(|fd| fd.as_raw_fd()).collect();
    let message = [ControlMessage::ScmRights(&rights)];
    let messages = if rights.is_empty() { &message[..0] } else { &message[..] };
    let to = to.map(address).transpose()?;
    let sent = sendmsg(fd.as_raw_fd(), &[IoSlice::new(bytes)], messages, MsgFlags::MSG_NOSIGNAL, to.as_ref())?;
    check_eq("the bytes sent", sent, bytes.len())
}

/// A message that was received.
#[derive(Debug)]
pub struct Message {
    pub bytes: Vec<u8>,
    pub rights: Vec<OwnedFd>,
    pub creds: Option<UnixCredentials>,
    pub from: Vec<u8>,
}

/// Receives a message of at most `size` bytes without waiting.
pub fn receive(fd: &OwnedFd, size: usize) -> Verdict<Message> {
    receive_with(fd, size, MsgFlags::MSG_DONTWAIT)
}

/// Receives a message with flags.
pub fn receive_with(fd: &OwnedFd, size: usize, flags: MsgFlags) -> Verdict<Message> {
    let from = if option(fd, libc::SO_TYPE)? == libc::SOCK_DGRAM { sender_of_next(fd, flags)? } else { Vec::new() };
    let mut bytes = vec![0; size];
    let mut room = vec![0u8; 2048];
    let mut iov = [IoSliceMut::new(&mut bytes)];
    let got = recvmsg::<SockaddrStorage>(fd.as_raw_fd(), &mut iov, Some(&mut room), flags)?;
    let (mut rights, mut creds) = (Vec::new(), None);
    for message in got.cmsgs()? {
        match message {
            ControlMessageOwned::ScmRights(fds) => {
                let own = |fd: &i32| {
                    // SAFETY: the kernel has just made it for this process.
                    unsafe { OwnedFd::from_raw_fd(*fd) }
                };
                rights.extend(fds.iter().map(own));
            }
            ControlMessageOwned::ScmCredentials(who) => creds = Some(who),
            other => return fail(format!("{other:?} came along")),
        }
    }
    let len = got.bytes;
    bytes.truncate(len);
    Ok(Message { bytes, rights, creds, from })
}

/// The name of who sent the datagram that is next. nix cannot say that there is none.
fn sender_of_next(fd: &OwnedFd, flags: MsgFlags) -> Verdict<Vec<u8>> {
    // SAFETY: all-zero is a valid address; the kernel fills it in up to its size.
    unsafe {
        let mut address: libc::sockaddr_un = std::mem::zeroed();
        let mut size = size_of_val(&address) as libc::socklen_t;
        let (at, flags) = ((&raw mut address).cast(), libc::MSG_PEEK | flags.bits());
        Errno::result(libc::recvfrom(fd.as_raw_fd(), std::ptr::null_mut(), 0, flags, at, &mut size))?;
        let name: Vec<u8> = address.sun_path.iter().take((size as usize).saturating_sub(2)).map(|c| *c as u8).collect();
        let end =
            if name.first() == Some(&0) { name.len() } else { name.iter().position(|c| *c == 0).unwrap_or(name.len()) };
        Ok(name[..end].to_vec())
    }
}

/// What one read brings, as text.
pub fn text(fd: &OwnedFd) -> Verdict<String> {
    Ok(String::from_utf8(receive(fd, 1000)?.bytes)?)
}

/// Whether nothing waits, and nobody has closed the connection.
pub fn is_empty(fd: &OwnedFd) -> Verdict {
    let mut byte = [0];
    let got = nix::sys::socket::recv(fd.as_raw_fd(), &mut byte, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK);
    check_eq("looking for more", got, Err(Errno::EAGAIN))
}

/// Sends each way and looks whether it comes.
pub fn talk(one: &OwnedFd, two: &OwnedFd) -> Verdict {
    for (from, to, word) in [(one, two, "there"), (two, one, "back")] {
        send(from, word.as_bytes(), &[], None)?;
        check_eq("what was said", text(to)?.as_str(), word)?;
    }
    Ok(())
}

/// An integer option of level SOL_SOCKET.
pub fn option(fd: &impl AsRawFd, name: i32) -> Verdict<i32> {
    let (mut value, mut size) = (0i32, 4);
    // SAFETY: the kernel writes an int.
    Errno::result(unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, name, (&raw mut value).cast(), &mut size)
    })?;
    Ok(value)
}

/// Sets an integer option of level SOL_SOCKET.
pub fn set_option(fd: &impl AsRawFd, name: i32, value: i32) -> Verdict {
    // SAFETY: the kernel reads an int.
    Errno::result(unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, name, (&raw const value).cast(), 4) })?;
    Ok(())
}

/// SO_PEERCRED: process, user, group.
pub fn peer_creds(fd: &impl AsFd) -> Verdict<(i32, u32, u32)> {
    let creds = nix::sys::socket::getsockopt(fd, nix::sys::socket::sockopt::PeerCredentials)?;
    Ok((creds.pid(), creds.uid(), creds.gid()))
}

/// Starts a process outside the tree: its parent is gone. It ends with the cell.
pub fn outsider(gate: &mut Gate, body: impl FnOnce() -> Verdict) -> Verdict {
    let parent = gate.fork(|gate| {
        let outside = |_: &mut Gate| {
            // Else the group of the tree's root would live on with it, and its number be taken.
            nix::unistd::setsid()?;
            body()
        };
        gate.fork(outside).map(drop)
    })?;
    crate::tools::wait_ok(parent)
}

/// SO_PEERGROUPS: the supplementary groups of the other end.
pub fn peer_groups(fd: &impl AsRawFd) -> Verdict<Vec<u32>> {
    const SO_PEERGROUPS: i32 = 59;
    let (mut groups, mut size) = ([0u32; 64], 256);
    // SAFETY: the kernel writes at most as many bytes as the size says.
    Errno::result(unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, SO_PEERGROUPS, groups.as_mut_ptr().cast(), &mut size)
    })?;
    Ok(groups[..size as usize / 4].to_vec())
}
