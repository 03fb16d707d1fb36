//! Who made a connection is told to its other end as before: a pair made here, by a child, by one that is gone, and as
//! another user and with other groups; a client's and a listener's; one that waits.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_relatives::{arrive, await_word, shared_word};
use crate::tools_unix::{
    TYPES, accept, at, bound, client, listen, listener, pair, peer_creds, peer_groups, receive, send,
};
use nix::sys::socket::SockType;
use nix::unistd::{Gid, Uid, getpid, setgroups, setresgid, setresuid};
use std::os::fd::OwnedFd;

/// Process, user and group, and the supplementary groups.
type Peer = ((i32, u32, u32), Vec<u32>);

const OTHER: (u32, u32) = (65_531, 65_532);

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let here = at(&gate.path("here"));
    let own = listener(SockType::Stream, &here)?;
    std::fs::set_permissions(gate.path("here"), std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
    let childs = bound(SockType::Stream, &at(&gate.path("childs")))?;
    let pairs = [pair(TYPES[0])?, pair(TYPES[1])?, pair(TYPES[2])?];
    let channel = pair(SockType::SeqPacket)?;
    let child = gate.fork(|gate| {
        setgroups(&[Gid::from_raw(65_533), Gid::from_raw(65_534)])?;
        listen(&childs, 5)?;
        let made = pair(SockType::Stream)?;
        let connected = client(SockType::Stream, &here)?;
        send(&channel.1, b"child", &[&made.0, &made.1, &connected], None)?;
        arrive(word);
        gate.wait();
        Ok(())
    })?;
    await_word(word, 1)?;
    let gone = gate.fork(|_| {
        setgroups(&[Gid::from_raw(OTHER.1)])?;
        setresgid(Gid::from_raw(0), Gid::from_raw(OTHER.1), Gid::from_raw(0))?;
        setresuid(Uid::from_raw(0), Uid::from_raw(OTHER.0), Uid::from_raw(0))?;
        let made = pair(SockType::Stream)?;
        let connected = client(SockType::Stream, &here)?;
        send(&channel.1, b"gone", &[&made.0, &made.1, &connected], None)
    })?;
    wait_ok(gone)?;
    let by_child = receive(&channel.0, 10)?.rights;
    let by_gone = receive(&channel.0, 10)?.rights;
    let accepted = [accept(&own)?, accept(&own)?];
    let to_childs = client(SockType::Stream, &at(&gate.path("childs")))?;
    let of_childs = accept(&childs)?;
    let waiting = client(SockType::Stream, &here)?;
    let look = || -> Verdict<Vec<Peer>> {
        let ends: [&OwnedFd; 11] = [
            &own,
            &childs,
            &by_child[0],
            &by_child[2],
            &by_gone[1],
            &by_gone[2],
            &accepted[0],
            &accepted[1],
            &to_childs,
            &of_childs,
            &waiting,
        ];
        let pairs = pairs.iter().flat_map(|(one, two)| [one, two]);
        ends.into_iter().chain(pairs).map(|end| Ok((peer_creds(end)?, peer_groups(end)?))).collect()
    };
    let before = look()?;
    let (me, child_creds) = ((getpid().as_raw(), 0, 0), (child.as_raw(), 0, 0));
    let gone_creds = (gone.as_raw(), OTHER.0, OTHER.1);
    let creds: Vec<_> = before.iter().map(|(creds, _)| *creds).collect();
    check_eq(
        "who they are",
        &creds[..10],
        &[me, child_creds, child_creds, me, gone_creds, me, child_creds, gone_creds, child_creds, me][..],
    )?;
    gate.checkpoint()?;
    check_eq("who they are now", look()?, before.clone())?;
    let server = accept(&own)?;
    check_eq("who waited", (peer_creds(&server)?, peer_groups(&server)?), before[0].clone())?;
    check("they are connected", send(&by_gone[0], b"x", &[], None).is_ok())?;
    check_eq("what came", receive(&by_gone[1], 9)?.bytes, b"x".to_vec())?;
    wait_ok(child)
}
