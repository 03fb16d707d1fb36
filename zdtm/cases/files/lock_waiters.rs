//! Tasks that wait for a lock (flock, POSIX, open file description) wait on, and get it when it is let go.
//@ options: --file-locks
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{flock, record_lock};
use crate::tools_relatives::{arrive, await_call, await_word, shared_word};
use nix::errno::Errno;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::Ordering;

const F_OFD_SETLK: i32 = 37;
const F_OFD_SETLKW: i32 = 38;

fn open(path: &Path) -> std::io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

/// Takes (or, with `on` false, gives up) the lock of one sort, waiting for it.
fn lock(sort: usize, file: &File, on: bool) -> Result<(), Errno> {
    let kind = if on { libc::F_WRLCK } else { libc::F_UNLCK };
    match sort {
        0 => flock(file, if on { libc::LOCK_EX } else { libc::LOCK_UN }),
        1 => record_lock(file, libc::F_SETLKW, kind, 7, 3).map(drop),
        _ => record_lock(file, if on { F_OFD_SETLKW } else { F_OFD_SETLK }, kind, 7, 3).map(drop),
    }
}

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let paths = ["flock", "posix", "ofd"].map(|name| gate.path(name));
    let mut children = Vec::new();
    let mut held = Vec::new();
    for (sort, path) in paths.iter().enumerate() {
        let file = open(path)?;
        lock(sort, &file, true)?;
        held.push(file);
        let child = gate.fork(|_| {
            let own = open(path)?;
            check_eq("waiting for the lock", lock(sort, &own, true), Ok(()))?;
            check_eq("locks let go before", word.load(Ordering::SeqCst), sort as u32 * 2 + 1)?;
            arrive(word);
            Ok(())
        })?;
        await_call(child, if sort == 0 { libc::SYS_flock } else { libc::SYS_fcntl })?;
        children.push(child);
    }
    gate.checkpoint()?;
    for (sort, file) in held.iter().enumerate() {
        check_eq("locks got", word.load(Ordering::SeqCst), sort as u32 * 2)?;
        arrive(word);
        lock(sort, file, false)?;
        await_word(word, sort as u32 * 2 + 2)?;
    }
    children.into_iter().try_for_each(wait_ok)
}
