//! Threads blocked in flock, in fcntl for a range of a file and for a lock of an open file description, held by another
//! process: they do not get them before the holder gives them up, and get them then.
//@ options: --file-locks
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Outcome, Word, child, outcome};
use crate::tools_threads::Call;
use std::fs::File;
use std::os::fd::AsRawFd as _;

fn open(name: &str) -> Verdict<File> {
    Ok(File::options().read(true).write(true).create(true).truncate(false).open(name)?)
}

fn flock(file: &File) -> Outcome {
    // SAFETY: the call takes numbers only.
    outcome(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) })
}

/// Locks bytes 100 to 199 for writing.
fn range(file: &File, command: i32) -> Outcome {
    // SAFETY: an all-zero lock description is valid.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    (lock.l_type, lock.l_start, lock.l_len) = (libc::F_WRLCK as i16, 100, 100);
    // SAFETY: the description is valid during the call.
    outcome(unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut lock) })
}

pub fn run(gate: &mut Gate) -> Verdict {
    let held = Word::shared()?;
    let holder = child(gate, |_| {
        let files = [open("flock")?, open("posix")?, open("ofd")?];
        let got = [flock(&files[0]), range(&files[1], libc::F_SETLKW), range(&files[2], libc::F_OFD_SETLKW)];
        check_eq("the holder's locks", got, [(0, 0); 3])?;
        held.bump();
        held.wait_for(2);
        Ok(())
    })?;
    held.wait_for(1);
    let files = [open("flock")?, open("posix")?, open("ofd")?];
    let [first, second, third] = files;
    let calls = [
        Call::start(libc::SYS_flock, move || flock(&first))?,
        Call::start(libc::SYS_fcntl, move || range(&second, libc::F_SETLKW))?,
        Call::start(libc::SYS_fcntl, move || range(&third, libc::F_OFD_SETLKW))?,
    ];
    gate.checkpoint()?;
    calls.iter().try_for_each(Call::still)?;
    held.bump();
    wait_ok(holder)?;
    for call in calls {
        check_eq("the lock", call.result()?, (0, 0))?;
    }
    Ok(())
}
