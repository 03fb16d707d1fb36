//! The owner (process, thread, group) and the signal for asynchronous notice, and the user who set it, stay.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{F_GETSIG, F_SETSIG, fcntl};
use crate::tools_relatives::{arrive, await_word, fork_logged, shared_word};
use nix::errno::Errno;
use std::fs::File;
use std::os::fd::AsRawFd;

const F_OWNER_TID: i32 = 0;
const F_OWNER_PID: i32 = 1;
const F_OWNER_PGRP: i32 = 2;
const F_SETOWN_EX: i32 = 15;
const F_GETOWN_EX: i32 = 16;
const F_GETOWNER_UIDS: i32 = 17;

fn set_owner(file: &File, kind: i32, id: i32) -> Result<(), Errno> {
    let owner = [kind, id];
    // SAFETY: the pair is a `struct f_owner_ex` and outlives the call.
    Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), F_SETOWN_EX, owner.as_ptr()) }).map(drop)
}

/// Kind and id of the owner, the user ids of who set it, the signal.
fn owner(file: &File) -> Verdict<([i32; 2], [u32; 2], i32)> {
    let (mut owner, mut users) = ([0i32; 2], [0u32; 2]);
    // SAFETY: the arrays are what the commands fill (`struct f_owner_ex`, two uid_t) and outlive the calls.
    unsafe {
        Errno::result(libc::fcntl(file.as_raw_fd(), F_GETOWN_EX, owner.as_mut_ptr()))?;
        Errno::result(libc::fcntl(file.as_raw_fd(), F_GETOWNER_UIDS, users.as_mut_ptr()))?;
    }
    Ok((owner, users, fcntl(file, F_GETSIG, 0)?))
}

pub fn run(gate: &mut Gate) -> Verdict {
    let me = nix::unistd::getpid().as_raw();
    let word = shared_word()?;
    let file = || -> Verdict<File> { Ok(File::open("/dev/null")?) };
    let (process, thread, group, none) = (file()?, file()?, file()?, file()?);
    set_owner(&process, F_OWNER_PID, me)?;
    fcntl(&process, F_SETSIG, 40)?;
    set_owner(&thread, F_OWNER_TID, me)?;
    set_owner(&group, F_OWNER_PGRP, me)?;
    fcntl(&group, F_SETSIG, libc::SIGUSR1)?;
    fcntl(&none, F_SETSIG, 41)?;
    let child = fork_logged(gate, |gate| {
        let by_user = File::open("/dev/null")?;
        // SAFETY: plain calls on this process's own credentials; the saved id stays root's.
        Errno::result(unsafe { libc::setresuid(1234, 4321, 0) })?;
        set_owner(&by_user, F_OWNER_PID, std::process::id() as i32)?;
        arrive(word);
        gate.wait();
        check_eq(
            "who set the child's owner",
            owner(&by_user)?,
            ([F_OWNER_PID, std::process::id() as i32], [1234, 4321], 0),
        )
    })?;
    await_word(word, 1)?;
    gate.checkpoint()?;
    check_eq("the owner process", owner(&process)?, ([F_OWNER_PID, me], [0, 0], 40))?;
    check_eq("the owner thread", owner(&thread)?, ([F_OWNER_TID, me], [0, 0], 0))?;
    check_eq("the owner group", owner(&group)?, ([F_OWNER_PGRP, me], [0, 0], libc::SIGUSR1))?;
    check_eq("the signal without an owner", owner(&none)?.2, 41)?;
    wait_ok(child)
}
