//! Locks on a memory file stay: flock, POSIX, of an open file description, and who holds them.
//@ options: --file-locks
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{flock, record_lock};
use crate::tools_memfd::{again, filled};
use crate::tools_relatives::{arrive, await_word, shared_word};
use nix::errno::Errno;

const F_OFD_SETLK: i32 = 37;

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let file = filled(b"locked", &[7; 1000])?;
    let other = again(&file, libc::O_RDWR)?;
    flock(&file, libc::LOCK_EX)?;
    record_lock(&file, libc::F_SETLK, libc::F_WRLCK, 0, 10)?;
    record_lock(&file, F_OFD_SETLK, libc::F_RDLCK, 20, 10)?;
    let child = gate.fork(|gate| {
        record_lock(&other, libc::F_SETLK, libc::F_RDLCK, 100, 0)?;
        arrive(word);
        gate.wait();
        await_word(word, 2)?;
        let held = record_lock(&other, libc::F_GETLK, libc::F_WRLCK, 0, 10)?;
        let parent = nix::unistd::getppid().as_raw();
        check_eq("the parent's lock", (i32::from(held.l_type), held.l_pid), (libc::F_WRLCK, parent))
    })?;
    await_word(word, 1)?;
    gate.checkpoint()?;
    check_eq("flock by the other", flock(&other, libc::LOCK_SH | libc::LOCK_NB), Err(Errno::EWOULDBLOCK))?;
    let held = record_lock(&file, libc::F_GETLK, libc::F_WRLCK, 100, 0)?;
    check_eq("the child's lock", (held.l_pid, held.l_start, held.l_len), (child.as_raw(), 100, 0))?;
    let refused = record_lock(&other, F_OFD_SETLK, libc::F_WRLCK, 25, 1).err();
    check_eq("a lock over that of the description", refused, Some(Errno::EAGAIN))?;
    arrive(word);
    wait_ok(child)
}
