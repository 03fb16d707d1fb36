//! POSIX record locks stay: ranges, kinds, holders, to the end of the file, split and joined, through a shared table.
//@ options: --file-locks
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::record_lock;
use crate::tools_relatives::{arrive, await_word, fork_sharing, shared_word};
use nix::errno::Errno;
use nix::unistd::Pid;
use std::fs::File;

const END: i64 = 0;

/// The first lock in the way of a write lock: kind, start, length, holder.
fn in_the_way(file: &File, start: i64, len: i64) -> Verdict<(i32, i64, i64, i32)> {
    let lock = record_lock(file, libc::F_GETLK, libc::F_WRLCK, start, len)?;
    Ok((i32::from(lock.l_type), lock.l_start, lock.l_len, lock.l_pid))
}

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let file = File::options().read(true).write(true).create_new(true).open(gate.path("locked"))?;
    let set = |kind: i32, start: i64, len: i64| record_lock(&file, libc::F_SETLK, kind, start, len).map(drop);
    set(libc::F_WRLCK, 10, 30)?;
    set(libc::F_UNLCK, 20, 5)?;
    set(libc::F_RDLCK, 100, 50)?;
    set(libc::F_RDLCK, 150, 50)?;
    set(libc::F_WRLCK, 1 << 33, END)?;
    let me = nix::unistd::getpid();
    let reader = gate.fork(|gate| {
        record_lock(&file, libc::F_SETLK, libc::F_RDLCK, 120, 10)?;
        arrive(word);
        gate.wait();
        await_word(word, 3)?;
        let parent = me.as_raw();
        check_eq("the first part", in_the_way(&file, 0, 15)?, (libc::F_WRLCK, 10, 10, parent))?;
        check_eq("the split", in_the_way(&file, 20, 5)?.0, libc::F_UNLCK)?;
        check_eq("the second part", in_the_way(&file, 20, 10)?, (libc::F_WRLCK, 25, 15, parent))?;
        check_eq("the joined read lock", in_the_way(&file, 199, 1)?, (libc::F_RDLCK, 100, 100, parent))?;
        check_eq("the lock to the end", in_the_way(&file, 1 << 40, 1)?, (libc::F_WRLCK, 1 << 33, END, parent))?;
        let taken = record_lock(&file, libc::F_SETLK, libc::F_WRLCK, 39, 1).map(drop);
        check_eq("taking a locked byte", taken, Err(Errno::EAGAIN))
    })?;
    let sharer = fork_sharing(gate, libc::CLONE_FILES, |gate| {
        // One table of descriptors is one holder: this lock is the parent's too.
        record_lock(&file, libc::F_SETLK, libc::F_WRLCK, 500, 5)?;
        arrive(word);
        gate.wait();
        await_word(word, 4)
    })?;
    await_word(word, 2)?;
    gate.checkpoint()?;
    let other: Pid = reader;
    check_eq("the child's read lock", in_the_way(&file, 100, 100)?, (libc::F_RDLCK, 120, 10, other.as_raw()))?;
    check_eq("the lock set by a sharer of the table", in_the_way(&file, 500, 5)?.0, libc::F_UNLCK)?;
    arrive(word);
    wait_ok(reader)?;
    let stranger =
        gate.fork(|_| check_eq("the common lock for a stranger", in_the_way(&file, 500, 5)?.0, libc::F_WRLCK))?;
    wait_ok(stranger)?;
    set(libc::F_UNLCK, 500, 5)?;
    let stranger = gate.fork(|_| check_eq("the common lock let go", in_the_way(&file, 500, 5)?.0, libc::F_UNLCK))?;
    wait_ok(stranger)?;
    arrive(word);
    wait_ok(sharer)
}
