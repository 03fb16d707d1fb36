//! Options of sockets of each type: sizes of buffers, timeouts, flags, priority, mark, linger, a filter; and where the
//! program itself looks into the queue (SO_PEEK_OFF).
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_unix::{TYPES, hidden, listener, option, pair, receive_with, send, set_option};
use nix::sys::socket::{MsgFlags, SockType, setsockopt, sockopt};
use nix::sys::time::TimeVal;

const OPTIONS: [(i32, i32); 8] = [
    (libc::SO_SNDBUF, 20_000),
    (libc::SO_RCVBUF, 30_000),
    (libc::SO_KEEPALIVE, 1),
    (libc::SO_BROADCAST, 1),
    (libc::SO_REUSEADDR, 1),
    (libc::SO_PRIORITY, 3),
    (libc::SO_RCVLOWAT, 2),
    (libc::SO_PASSCRED, 1),
];

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
    for (kind, _, two) in &all {
        let wanted = if *kind == SockType::Stream { &b"secondthird"[..] } else { b"second" };
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        check_eq("what the next look shows", receive_with(two, 100, flags)?.bytes.as_slice(), wanted)?;
        let wanted = if *kind == SockType::Stream { &b"firstsecondthird"[..] } else { b"first" };
        check_eq("what is read", receive_with(two, 100, MsgFlags::MSG_DONTWAIT)?.bytes.as_slice(), wanted)?;
    }
    Ok(())
}
