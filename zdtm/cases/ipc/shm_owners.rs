//! Owner, creator and their groups of each kind of object.
//@ flavours: [ns]
//@ needs: [kernel:sysvipc, cap:setuid, cap:setgid]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_ipc::{about_queue, about_segment, about_set, queue, segment, set};
use nix::errno::Errno;
use nix::unistd::{Gid, Uid, setegid, seteuid};

pub fn run(gate: &mut Gate) -> Verdict {
    setegid(Gid::from_raw(77))?;
    seteuid(Uid::from_raw(1234))?;
    let (id, messages, semaphores) =
        (segment(libc::IPC_PRIVATE, 1, 0o604)?, queue(libc::IPC_PRIVATE, 0o640)?, set(libc::IPC_PRIVATE, 0o606, &[1])?);
    seteuid(Uid::from_raw(0))?;
    setegid(Gid::from_raw(0))?;
    // SAFETY: all zeroes are a value of the structure, and the kernel reads it.
    unsafe {
        let mut ds = std::mem::zeroed::<libc::shmid_ds>();
        (ds.shm_perm.uid, ds.shm_perm.gid, ds.shm_perm.mode) = (4321, 78, 0o444);
        Errno::result(libc::shmctl(id, libc::IPC_SET, &raw mut ds))?;
    }
    let all = || Ok::<_, crate::gate::Failure>((about_segment(id)?, about_queue(messages)?, about_set(semaphores)?));
    let before = all()?;
    gate.checkpoint()?;
    check_eq("what is known of all", all()?, before)
}
