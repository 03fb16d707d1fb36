//! Sockets of another user stay that user's: pairs, and a listener with its file.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::stat;
use crate::tools_relatives::{arrive, await_word, fork_logged, shared_word};
use crate::tools_unix::{accept, at, client, listener, pair, talk};
use nix::sys::socket::SockType;
use nix::unistd::{Gid, Uid, setresgid, setresuid};

const OTHER: (u32, u32) = (65_531, 65_532);

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let dir = gate.path("theirs");
    std::fs::create_dir(&dir)?;
    std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
    let here = at(&dir.join("socket"));
    let child = fork_logged(gate, |gate| {
        setresgid(Gid::from_raw(OTHER.1), Gid::from_raw(OTHER.1), Gid::from_raw(OTHER.1))?;
        setresuid(Uid::from_raw(OTHER.0), Uid::from_raw(OTHER.0), Uid::from_raw(OTHER.0))?;
        let (one, two) = pair(SockType::Stream)?;
        let server = listener(SockType::Stream, &here)?;
        arrive(word);
        gate.wait();
        for end in [&one, &two, &server] {
            let stat = stat(end)?;
            check_eq("whose a socket is", (stat.st_uid, stat.st_gid), OTHER)?;
        }
        let file = nix::sys::stat::stat(here.as_slice())?;
        check_eq("whose the file is", (file.st_uid, file.st_gid), OTHER)?;
        talk(&one, &two)?;
        talk(&client(SockType::Stream, &here)?, &accept(&server)?)
    })?;
    await_word(word, 1)?;
    gate.checkpoint()?;
    wait_ok(child)
}
