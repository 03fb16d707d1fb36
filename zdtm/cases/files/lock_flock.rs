//! flock locks, exclusive and shared, stay with their open file; any sharer of it may let them go.
//@ options: --file-locks
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::flock;
use crate::tools_relatives::{arrive, await_word, shared_word};
use nix::errno::Errno;
use std::fs::{self, File};
use std::path::Path;

/// What a stranger gets who tries a shared and an exclusive lock of the file.
fn stranger(path: &Path) -> Verdict<(Result<(), Errno>, Result<(), Errno>)> {
    let file = File::open(path)?;
    let shared = flock(&file, libc::LOCK_SH | libc::LOCK_NB);
    flock(&file, libc::LOCK_UN)?;
    Ok((shared, flock(&file, libc::LOCK_EX | libc::LOCK_NB)))
}

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let paths = ["exclusive", "shared", "free"].map(|name| gate.path(name));
    for path in &paths {
        fs::write(path, b"")?;
    }
    let exclusive = File::options().write(true).open(&paths[0])?;
    let shared = [File::open(&paths[1])?, File::open(&paths[1])?];
    let free = File::open(&paths[2])?;
    flock(&exclusive, libc::LOCK_EX)?;
    flock(&shared[0], libc::LOCK_SH)?;
    flock(&shared[1], libc::LOCK_SH)?;
    flock(&free, libc::LOCK_EX)?;
    flock(&free, libc::LOCK_UN)?;
    let sharer = gate.fork(|gate| {
        gate.wait();
        await_word(word, 1)?;
        flock(&exclusive, libc::LOCK_UN)?;
        arrive(word);
        Ok(())
    })?;
    gate.checkpoint()?;
    let blocked = Err(Errno::EWOULDBLOCK);
    check_eq("a stranger's locks on the exclusive file", stranger(&paths[0])?, (blocked, blocked))?;
    check_eq("a stranger's locks on the shared file", stranger(&paths[1])?, (Ok(()), blocked))?;
    check_eq("a stranger's locks on the free file", stranger(&paths[2])?, (Ok(()), Ok(())))?;
    flock(&shared[0], libc::LOCK_UN)?;
    check_eq("after one shared lock is gone", stranger(&paths[1])?, (Ok(()), blocked))?;
    flock(&shared[1], libc::LOCK_UN)?;
    // The sharer's copy is open still: a lock lives as long as the open file.
    check_eq("after both are gone", stranger(&paths[1])?, (Ok(()), Ok(())))?;
    arrive(word);
    await_word(word, 2)?;
    check_eq("after the sharer unlocked", stranger(&paths[0])?, (Ok(()), Ok(())))?;
    wait_ok(sharer)
}
