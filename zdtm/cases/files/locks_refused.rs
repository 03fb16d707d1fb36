//! Without --file-locks a held lock is refused with an error that names the option, and the lock stays.
//@ dump-fails: file-locks
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::flock;
use nix::errno::Errno;
use std::fs::File;

pub fn run(gate: &mut Gate) -> Verdict {
    let file = File::create_new(gate.path("locked"))?;
    flock(&file, libc::LOCK_EX)?;
    gate.checkpoint()?;
    let other = File::open(gate.path("locked"))?;
    check_eq("a second lock", flock(&other, libc::LOCK_SH | libc::LOCK_NB), Err(Errno::EWOULDBLOCK))
}
