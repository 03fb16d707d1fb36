//! Options of sockets of each type: sizes of buffers, timeouts, flags, priority, mark, linger, times of messages, a filter
//! that is locked; and where the program itself looks into the queue (SO_PEEK_OFF).
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_unix::{TYPES, hidden, listener, option, pair, receive_with, send, set_option};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockType, setsockopt, sockopt};
use nix::sys::time::TimeVal;
use std::os::fd::AsRawFd;

const OPTIONS: [(i32, i32); 10] = [
    (libc::SO_SNDBUF, 20_000),
    (libc::SO_RCVBUF, 30_000),
    (libc::SO_KEEPALIVE, 1),
    (libc::SO_BROADCAST, 1),
    (libc::SO_REUSEADDR, 1),
    (libc::SO_PRIORITY, 3),
    (libc::SO_RCVLOWAT, 2),
    (libc::SO_PASSCRED, 1),
    (libc::SO_MARK, 5),
    (libc::SO_TIMESTAMPNS, 1),
];

/// The length of a message, and that many bytes are let through.
static FILTER: [libc::sock_filter; 2] =
    [libc::sock_filter { code: 0x80, jt: 0, jf: 0, k: 0 }, libc::sock_filter { code: 0x16, jt: 0, jf: 0, k: 0 }];

/// Attaches the filter for good.
fn attach(fd: &impl AsRawFd) -> Verdict {
    const SO_LOCK_FILTER: i32 = 44;
    let program = libc::sock_fprog { len: 2, filter: FILTER.as_ptr().cast_mut() };
    let (at, size) = ((&raw const program).cast(), size_of_val(&program) as libc::socklen_t);
    // SAFETY: the kernel reads the structure and the instructions that it points at.
    let done = unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, at, size) };
    Errno::result(done)?;
    set_option(fd, SO_LOCK_FILTER, 1)
}

/// The filter that is attached: codes and operands.
fn filter(fd: &impl AsRawFd) -> Verdict<Vec<(u16, u32)>> {
    let mut code = [libc::sock_filter { code: 0, jt: 0, jf: 0, k: 0 }; 8];
    let mut count = 8;
    let at = code.as_mut_ptr().cast();
    // SAFETY: the kernel writes at most as many instructions as there is room for.
    let done = unsafe { libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, at, &mut count) };
    Errno::result(done)?;
    Ok(code[..count as usize].iter().map(|i| (i.code, i.k)).collect())
}

pub fn run(gate: &mut Gate) -> Verdict {
    let mut all = Vec::new();
    for kind in TYPES {
        let (one, two) = pair(kind)?;
        for (name, value) in OPTIONS {
            set_option(&one, name, value)?;
        }
        setsockopt(&one, sockopt::ReceiveTimeout, &TimeVal::new(1234, 56_000))?;
        setsockopt(&one, sockopt::SendTimeout, &TimeVal::new(0, 500_000))?;
        setsockopt(&one, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 7 })?;
        attach(&one)?;
        set_option(&two, libc::SO_PEEK_OFF, 0)?;
        for word in [&b"first"[..], b"second", b"third"] {
            send(&one, word, &[], None)?;
        }
        receive_with(&two, 5, MsgFlags::MSG_PEEK)?;
        all.push((kind, one, two));
    }
    let server = listener(SockType::Stream, &hidden(gate, "options")?)?;
    set_option(&server, libc::SO_RCVBUF, 40_000)?;
    let look = || -> Verdict<Vec<Vec<i32>>> {
        let more = [libc::SO_TYPE, libc::SO_ERROR, libc::SO_ACCEPTCONN, libc::SO_LINGER, libc::SO_PEEK_OFF];
        let names: Vec<i32> = OPTIONS.iter().map(|(name, _)| *name).chain(more).collect();
        let ends = all.iter().flat_map(|(_, one, two)| [one, two]).chain([&server]);
        ends.map(|end| names.iter().map(|name| option(end, *name)).collect()).collect()
    };
    let times = || -> Verdict<Vec<[i64; 4]>> {
        let of = |end: &std::os::fd::OwnedFd| -> Verdict<[i64; 4]> {
            let receive = nix::sys::socket::getsockopt(end, sockopt::ReceiveTimeout)?;
            let send = nix::sys::socket::getsockopt(end, sockopt::SendTimeout)?;
            Ok([receive.tv_sec(), receive.tv_usec(), send.tv_sec(), send.tv_usec()])
        };
        all.iter().map(|(_, one, _)| of(one)).collect()
    };
    let before = (look()?, times()?);
    gate.checkpoint()?;
    check_eq("options and times", (look()?, times()?), before)?;
    for (_, one, _) in &all {
        check_eq("the filter", filter(one)?, FILTER.map(|i| (i.code, i.k)).to_vec())?;
        check_eq("changing it", attach(one).is_err(), true)?;
    }
    for (kind, _, two) in &all {
        let wanted = if *kind == SockType::Stream { &b"secondthird"[..] } else { b"second" };
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        check_eq("what the next look shows", receive_with(two, 100, flags)?.bytes.as_slice(), wanted)?;
        let wanted = if *kind == SockType::Stream { &b"firstsecondthird"[..] } else { b"first" };
        check_eq("what is read", receive_with(two, 100, MsgFlags::MSG_DONTWAIT)?.bytes.as_slice(), wanted)?;
    }
    Ok(())
}
