//! Sockets: options, messages with what comes along with them, addresses as raw bytes.

use super::{Errno, Result, check};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Options of level SOL_SOCKET that libc does not know on every CPU.
pub mod option {
    /// Where MSG_PEEK reads; -1 at the start of the queue.
    pub const PEEK_OFF: i32 = libc::SO_PEEK_OFF;
    /// Which buffer sizes were set by hand (5.14).
    pub const BUF_LOCK: i32 = 72;
    /// The supplementary groups of the peer.
    pub const PEER_GROUPS: i32 = 59;
    /// Messages come with a pidfd of their sender (6.5).
    pub const PASS_PIDFD: i32 = 76;
    /// Messages may come with descriptors (6.16).
    pub const PASS_RIGHTS: i32 = 83;
    /// Messages come with what is left in the queue (6.17).
    pub const INQ: i32 = 84;
}

/// A descriptor of what belongs to a socket.
#[derive(Debug, Clone, Copy)]
pub enum SocketFd {
    /// The network namespace of the socket or tun device (SIOCGSKNS).
    Namespace,
    /// The file that a unix socket is bound to (SIOCUNIXFILE), as with O_PATH.
    BoundFile,
}

/// Asks a socket for a descriptor.
pub fn socket_fd(socket: BorrowedFd<'_>, which: SocketFd) -> Result<OwnedFd> {
    let request = match which {
        SocketFd::Namespace => 0x894c,
        SocketFd::BoundFile => 0x89e0,
    };
    // SAFETY: both requests ignore the argument and return a new descriptor.
    owned(unsafe { libc::ioctl(socket.as_raw_fd(), request, 0) }.into())
}

/// Sets an integer option of a socket.
pub fn set_option(socket: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> Result<()> {
    set_bytes(socket, level, name, &value.to_ne_bytes())
}

/// Sets an option of a socket.
pub fn set_bytes(socket: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> Result<()> {
    let size = value.len() as libc::socklen_t;
    // SAFETY: the kernel reads as many bytes as the size says.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value.as_ptr().cast(), size) }.into()).map(drop)
}

/// Reads an option of a socket into `value`, whose contents the kernel may read first; how long the option is.
pub fn get_option(socket: BorrowedFd<'_>, level: i32, name: i32, value: &mut [u8]) -> Result<usize> {
    let mut size = value.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most as many bytes as the size says.
    let done = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &mut size) };
    check(done.into()).map(|_| size as usize)
}

/// An integer option of level SOL_SOCKET.
pub fn get(socket: BorrowedFd<'_>, name: i32) -> Result<i32> {
    let mut value = [0; 4];
    get_option(socket, libc::SOL_SOCKET, name, &mut value)?;
    Ok(i32::from_ne_bytes(value))
}

/// Sets an integer option of level SOL_SOCKET.
pub fn set(socket: BorrowedFd<'_>, name: i32, value: i32) -> Result<()> {
    set_option(socket, libc::SOL_SOCKET, name, value)
}

/// The classic filter attached to a socket, an instruction a word: opcode, jumps, operand from the highest byte down.
///
/// # Errors
/// EACCES: the filter is not of the classic sort.
pub fn filter(socket: BorrowedFd<'_>) -> Result<Vec<u64>> {
    let mut count: libc::socklen_t = 0;
    let (fd, null) = (socket.as_raw_fd(), std::ptr::null_mut::<libc::c_void>());
    // SAFETY: with no room the kernel only tells how many instructions there are.
    check(unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, null, &mut count) }.into())?;
    let mut code = vec![libc::sock_filter { code: 0, jt: 0, jf: 0, k: 0 }; count as usize];
    if code.is_empty() {
        return Ok(Vec::new());
    }
    let at = code.as_mut_ptr().cast();
    // SAFETY: the kernel writes as many instructions as it said there are.
    check(unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, at, &mut count) }.into())?;
    let word = |i: &libc::sock_filter| {
        u64::from(i.code) << 48 | u64::from(i.jt) << 40 | u64::from(i.jf) << 32 | u64::from(i.k)
    };
    Ok(code.iter().take(count as usize).map(word).collect())
}

/// Attaches a classic filter.
pub fn set_filter(socket: BorrowedFd<'_>, words: &[u64]) -> Result<()> {
    let instruction =
        |w: &u64| libc::sock_filter { code: (w >> 48) as u16, jt: (w >> 40) as u8, jf: (w >> 32) as u8, k: *w as u32 };
    let mut code: Vec<libc::sock_filter> = words.iter().map(instruction).collect();
    let len = u16::try_from(code.len()).map_err(|_| Errno::EINVAL)?;
    let program = libc::sock_fprog { len, filter: code.as_mut_ptr() };
    // SAFETY: a plain structure that outlives the copy made of it.
    let bytes = unsafe { std::slice::from_raw_parts((&raw const program).cast(), size_of_val(&program)) };
    set_bytes(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, bytes)
}

/// A socket address of the unix family: `name` is sun_path as far as it counts.
pub fn unix_address(name: &[u8]) -> Vec<u8> {
    [&(libc::AF_UNIX as libc::sa_family_t).to_ne_bytes()[..], name].concat()
}

/// An address of no family: connecting to it takes a connection back.
pub fn no_address() -> Vec<u8> {
    vec![0; 16]
}

/// socket(2) of the unix family.
pub fn unix(kind: i32) -> Result<OwnedFd> {
    // SAFETY: integers only.
    owned(unsafe { libc::socket(libc::AF_UNIX, kind, 0) }.into())
}

/// socketpair(2) of the unix family. Closed on exec.
pub fn pair(kind: i32) -> Result<(OwnedFd, OwnedFd)> {
    let mut fds = [-1; 2];
    // SAFETY: room for two descriptors.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()) }.into())?;
    Ok((owned(fds[0].into())?, owned(fds[1].into())?))
}

/// accept4(2): the connection that has waited longest. Closed on exec, never waiting.
pub fn accept(listener: BorrowedFd<'_>) -> Result<OwnedFd> {
    let (null, flags) = (std::ptr::null_mut(), libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK);
    // SAFETY: no address is asked for.
    owned(unsafe { libc::accept4(listener.as_raw_fd(), null, std::ptr::null_mut(), flags) }.into())
}

/// shutdown(2).
pub fn shut_down(socket: BorrowedFd<'_>, how: i32) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::shutdown(socket.as_raw_fd(), how) }.into()).map(drop)
}

/// bind(2).
pub fn bind(socket: BorrowedFd<'_>, address: &[u8]) -> Result<()> {
    let size = address.len() as libc::socklen_t;
    // SAFETY: the kernel reads as many bytes as the size says.
    check(unsafe { libc::bind(socket.as_raw_fd(), address.as_ptr().cast(), size) }.into()).map(drop)
}

/// connect(2).
pub fn connect(socket: BorrowedFd<'_>, address: &[u8]) -> Result<()> {
    let size = address.len() as libc::socklen_t;
    // SAFETY: as above.
    check(unsafe { libc::connect(socket.as_raw_fd(), address.as_ptr().cast(), size) }.into()).map(drop)
}

/// SIOCOUTQ: what the kernel holds of what was sent and not read, more than the bytes themselves.
pub fn unread_by_peer(socket: BorrowedFd<'_>) -> Result<usize> {
    let mut n: i32 = 0;
    // SAFETY: the kernel writes an int.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut n) }.into())?;
    Ok(n as usize)
}

/// Process, user and group that a message or a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ucred {
    /// The process.
    pub pid: i32,
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Ucred {
    fn from_bytes(bytes: &[u8; 12]) -> Ucred {
        let word = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        Ucred { pid: i32::from_ne_bytes(word(0)), uid: u32::from_ne_bytes(word(4)), gid: u32::from_ne_bytes(word(8)) }
    }
}

/// SO_PEERCRED; none where there never was a peer.
pub fn peer_cred(socket: BorrowedFd<'_>) -> Result<Option<Ucred>> {
    let mut bytes = [0; 12];
    get_option(socket, libc::SOL_SOCKET, libc::SO_PEERCRED, &mut bytes)?;
    let cred = Ucred::from_bytes(&bytes);
    Ok((cred.pid != 0 || cred.uid != u32::MAX).then_some(cred))
}

/// SO_PEERGROUPS of a socket that has SO_PEERCRED.
pub fn peer_groups(socket: BorrowedFd<'_>) -> Result<Vec<u32>> {
    const USUAL: usize = 64;
    // NGROUPS_MAX.
    const MOST: usize = 65_536;
    let mut bytes = vec![0; USUAL * 4];
    let size = match get_option(socket, libc::SOL_SOCKET, option::PEER_GROUPS, &mut bytes) {
        Err(Errno::ERANGE) => {
            bytes.resize(MOST * 4, 0);
            get_option(socket, libc::SOL_SOCKET, option::PEER_GROUPS, &mut bytes)?
        }
        other => other?,
    };
    Ok(bytes[..size]
        .chunks_exact(4)
        .map(|group| u32::from_ne_bytes([group[0], group[1], group[2], group[3]]))
        .collect())
}

/// A message that was read.
#[derive(Debug, Default)]
pub struct Received {
    /// Bytes read, or with MSG_TRUNC the message's length.
    pub len: usize,
    /// MSG_* of the message.
    pub flags: i32,
    /// The sender's sun_path.
    pub name: Vec<u8>,
    /// Descriptors that came along.
    pub rights: Vec<OwnedFd>,
    /// Who sent it.
    pub creds: Option<Ucred>,
    /// A pidfd of who sent it.
    pub pidfd: Option<OwnedFd>,
}

/// Room for what comes along with a message: 253 descriptors, and more than the kernel adds besides.
const CONTROL: usize = 2048;
/// SCM_PIDFD (6.5).
const SCM_PIDFD: i32 = 4;

/// recvmsg(2), never waiting. Descriptors that come along are closed on exec.
pub fn receive(socket: BorrowedFd<'_>, into: &mut [u8], flags: i32) -> Result<Received> {
    let mut name = [0u8; 128];
    let mut control = [0u64; CONTROL / 8];
    let mut iov = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // SAFETY: a structure of integers and pointers, for which zeros are values.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    (header.msg_name, header.msg_namelen) = (name.as_mut_ptr().cast(), name.len() as libc::socklen_t);
    (header.msg_iov, header.msg_iovlen) = (&raw mut iov, 1);
    (header.msg_control, header.msg_controllen) = (control.as_mut_ptr().cast(), CONTROL as _);
    let flags = flags | libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: every pointer of the header leads to room of the length given beside it.
    let len = check(unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header, flags) } as i64)? as usize;
    let name_end = (header.msg_namelen as usize).clamp(2, name.len());
    let mut got = Received { len, flags: header.msg_flags, name: name[2..name_end].to_vec(), ..Received::default() };
    // SAFETY: the kernel has filled the header in; the macros stay within the control length that it says, and the
    // descriptors among the data were made for us by this call.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(&header);
        while let Some(message) = at.as_ref() {
            let data: *const u8 = libc::CMSG_DATA(at);
            let end = at.cast::<u8>().wrapping_add(message.cmsg_len);
            let bytes = (end as usize).saturating_sub(data as usize);
            match (message.cmsg_level, message.cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => got
                    .rights
                    .extend((0..bytes / 4).map(|i| OwnedFd::from_raw_fd(data.cast::<RawFd>().add(i).read_unaligned()))),
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if bytes >= 12 => {
                    got.creds = Some(Ucred::from_bytes(&data.cast::<[u8; 12]>().read()));
                }
                (libc::SOL_SOCKET, SCM_PIDFD) if bytes >= 4 => {
                    let fd = data.cast::<RawFd>().read_unaligned();
                    got.pidfd = (fd >= 0).then(|| OwnedFd::from_raw_fd(fd));
                }
                _ => {}
            }
            at = libc::CMSG_NXTHDR(&header, at);
        }
    }
    Ok(got)
}

/// How many of the next `len` bytes of a stream come in buffers of the kernel's before the one that holds the last of
/// them. It copies each buffer whole or not at all: here there is no room for that last byte. Nothing is taken out.
pub fn before_last_buffer(socket: BorrowedFd<'_>, len: usize) -> Result<usize> {
    let mut bytes = vec![0u8; len];
    let nowhere = std::ptr::without_provenance_mut::<libc::c_void>(1);
    let mut iov = [
        libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: len.saturating_sub(1) },
        libc::iovec { iov_base: nowhere, iov_len: 1 },
    ];
    // SAFETY: as in receive.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    (header.msg_iov, header.msg_iovlen) = (iov.as_mut_ptr(), 2);
    // SAFETY: the first room is as long as it says; nothing is ever mapped at the second, which the kernel finds out.
    match check(unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header, libc::MSG_PEEK | libc::MSG_DONTWAIT) } as i64) {
        Err(Errno::EFAULT) => Ok(0),
        other => other.map(|n| n as usize),
    }
}

/// A message that carries one descriptor. Async-signal-safe.
pub fn receive_one(socket: BorrowedFd<'_>, into: &mut [u8]) -> Result<Option<OwnedFd>> {
    let mut control = [0u64; 4];
    let mut iov = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // SAFETY: as in receive.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    (header.msg_iov, header.msg_iovlen) = (&raw mut iov, 1);
    (header.msg_control, header.msg_controllen) = (control.as_mut_ptr().cast(), size_of_val(&control) as _);
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: as in receive; there is room for a few descriptors, of which the first is taken.
    unsafe {
        check(libc::recvmsg(socket.as_raw_fd(), &mut header, flags) as i64)?;
        let at = libc::CMSG_FIRSTHDR(&header);
        let is_one = !at.is_null() && (*at).cmsg_type == libc::SCM_RIGHTS;
        Ok(is_one.then(|| OwnedFd::from_raw_fd(libc::CMSG_DATA(at).cast::<RawFd>().read_unaligned())))
    }
}

/// sendmsg(2), never waiting and never with a SIGPIPE: the bytes sent. `to` is a socket address.
pub fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    to: Option<&[u8]>,
    rights: &[RawFd],
    creds: Option<Ucred>,
) -> Result<usize> {
    let mut control = [0u64; CONTROL / 8];
    let mut iov = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: as in receive.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    if let Some(to) = to {
        (header.msg_name, header.msg_namelen) = (to.as_ptr().cast_mut().cast(), to.len() as libc::socklen_t);
    }
    (header.msg_iov, header.msg_iovlen) = (&raw mut iov, 1);
    let rights: Vec<u8> = rights.iter().flat_map(|fd| fd.to_ne_bytes()).collect();
    let creds: Vec<u8> = creds.iter().flat_map(|c| [c.pid as u32, c.uid, c.gid]).flat_map(u32::to_ne_bytes).collect();
    // SAFETY: two integers.
    let room: u32 = [&rights, &creds].iter().map(|d| unsafe { libc::CMSG_SPACE(d.len() as u32) }).sum();
    if room as usize > CONTROL {
        return Err(Errno::EINVAL);
    }
    (header.msg_control, header.msg_controllen) = (control.as_mut_ptr().cast(), CONTROL as _);
    let mut used = 0;
    // SAFETY: there is room for both messages, which are written one behind the other.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(&header);
        for (kind, data) in [(libc::SCM_RIGHTS, &rights), (libc::SCM_CREDENTIALS, &creds)] {
            if data.is_empty() || at.is_null() {
                continue;
            }
            (*at).cmsg_level = libc::SOL_SOCKET;
            (*at).cmsg_type = kind;
            (*at).cmsg_len = libc::CMSG_LEN(data.len() as u32) as _;
            std::ptr::copy_nonoverlapping(data.as_ptr(), libc::CMSG_DATA(at), data.len());
            used += libc::CMSG_SPACE(data.len() as u32);
            at = at.cast::<u8>().add(libc::CMSG_SPACE(data.len() as u32) as usize).cast();
        }
    }
    header.msg_controllen = used as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: every pointer of the header leads to as many bytes as the length beside it says.
    check(unsafe { libc::sendmsg(socket.as_raw_fd(), &header, flags) } as i64).map(|n| n as usize)
}

/// The descriptor that a call has returned, if it did.
fn owned(number: libc::c_long) -> Result<OwnedFd> {
    let number = i32::try_from(check(number)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
