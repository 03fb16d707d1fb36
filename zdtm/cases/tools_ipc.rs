//! For the cases of IPC: small wrappers of the SysV calls, and what can be asked of an object.

use crate::gate::{Verdict, check_eq, fail};
use crate::tools_memory::{Area, page};
use nix::errno::Errno;

/// A key that no other case uses: all are in namespaces of their own, or remove what they make.
pub const KEY: i32 = 0x5a44_544d;

/// Makes a segment of so many pages.
pub fn segment(key: i32, pages: usize, mode: i32) -> Verdict<i32> {
    // SAFETY: integers only.
    Ok(Errno::result(unsafe { libc::shmget(key, pages * page(), libc::IPC_CREAT | libc::IPC_EXCL | mode) })?)
}

/// Attaches a segment of so many pages at an address of the kernel's choice.
pub fn attach(id: i32, pages: usize, flags: i32) -> Verdict<Area> {
    // SAFETY: a new mapping at an address of the kernel's choice.
    let at = unsafe { libc::shmat(id, std::ptr::null(), flags) };
    if at as isize == -1 {
        return Err(Errno::last().into());
    }
    Ok(Area::at_address(at as usize, pages))
}

/// Removes a segment.
pub fn remove_segment(id: i32) -> Verdict {
    // SAFETY: the command takes no structure.
    Errno::result(unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) })?;
    Ok(())
}

/// Key, owners, mode, size and attachments of a segment.
pub fn about_segment(id: i32) -> Verdict<([u32; 6], usize, u64)> {
    // SAFETY: all zeroes are a value of the structure, and the kernel fills it in.
    unsafe {
        let mut ds = std::mem::zeroed::<libc::shmid_ds>();
        Errno::result(libc::shmctl(id, libc::IPC_STAT, &raw mut ds))?;
        Ok((perm(&ds.shm_perm), ds.shm_segsz, ds.shm_nattch as u64))
    }
}

/// Key, owners, mode, size and number of messages of a queue.
pub fn about_queue(id: i32) -> Verdict<([u32; 6], u64, u64)> {
    // SAFETY: all zeroes are a value of the structure, and the kernel fills it in.
    unsafe {
        let mut ds = std::mem::zeroed::<libc::msqid_ds>();
        Errno::result(libc::msgctl(id, libc::IPC_STAT, &raw mut ds))?;
        Ok((perm(&ds.msg_perm), ds.msg_qbytes as u64, ds.msg_qnum as u64))
    }
}

/// Key, owners, mode and members of a set of semaphores.
pub fn about_set(id: i32) -> Verdict<([u32; 6], u64)> {
    // SAFETY: all zeroes are a value of the structure, and the kernel fills it in.
    unsafe {
        let mut ds = std::mem::zeroed::<libc::semid_ds>();
        Errno::result(libc::semctl(id, 0, libc::IPC_STAT, &raw mut ds))?;
        Ok((perm(&ds.sem_perm), ds.sem_nsems as u64))
    }
}

fn perm(perm: &libc::ipc_perm) -> [u32; 6] {
    [perm.__key as u32, perm.uid, perm.gid, perm.cuid, perm.cgid, perm.mode as u32]
}

/// Makes a message queue.
pub fn queue(key: i32, mode: i32) -> Verdict<i32> {
    // SAFETY: integers only.
    Ok(Errno::result(unsafe { libc::msgget(key, libc::IPC_CREAT | libc::IPC_EXCL | mode) })?)
}

/// Sends a message.
pub fn send(id: i32, kind: i64, text: &[u8]) -> Verdict {
    let bytes = [&kind.to_ne_bytes(), text].concat();
    // SAFETY: the buffer holds the type and as many bytes as are said.
    Errno::result(unsafe { libc::msgsnd(id, bytes.as_ptr().cast(), text.len(), 0) })?;
    Ok(())
}

/// Receives a message of a type (0 for any): its type and its text.
pub fn receive(id: i32, kind: i64, flags: i32) -> Result<(i64, Vec<u8>), Errno> {
    const LONGEST: usize = 8192;
    let mut bytes = vec![0u8; 8 + LONGEST];
    // SAFETY: the buffer has room for the type and so many bytes.
    let got = Errno::result(unsafe { libc::msgrcv(id, bytes.as_mut_ptr().cast(), LONGEST, kind, flags) })?;
    let mut first = [0; 8];
    first.copy_from_slice(&bytes[..8]);
    Ok((i64::from_ne_bytes(first), bytes[8..8 + got as usize].to_vec()))
}

/// Receives messages until there is none, and compares them with what is expected.
pub fn check_messages(id: i32, expected: &[(i64, &[u8])]) -> Verdict {
    for (kind, text) in expected {
        check_eq("a message", receive(id, 0, libc::IPC_NOWAIT)?, (*kind, text.to_vec()))?;
    }
    match receive(id, 0, libc::IPC_NOWAIT) {
        Err(Errno::ENOMSG) => Ok(()),
        other => fail(format!("one more message: {other:?}")),
    }
}

/// Makes a set of semaphores with these values.
pub fn set(key: i32, mode: i32, values: &[u16]) -> Verdict<i32> {
    const SETALL: i32 = 17;
    let flags = libc::IPC_CREAT | libc::IPC_EXCL | mode;
    // SAFETY: the kernel reads as many values as the set has members.
    unsafe {
        let id = Errno::result(libc::semget(key, values.len() as i32, flags))?;
        Errno::result(libc::semctl(id, 0, SETALL, values.as_ptr()))?;
        Ok(id)
    }
}

/// The values of a set of so many members.
pub fn values(id: i32, members: usize) -> Verdict<Vec<u16>> {
    const GETALL: i32 = 13;
    let mut values = vec![0u16; members];
    // SAFETY: the buffer has room for as many values as the set has members.
    Errno::result(unsafe { libc::semctl(id, 0, GETALL, values.as_mut_ptr()) })?;
    Ok(values)
}

/// semop(2) on a semaphore.
pub fn operate(id: i32, number: u16, add: i16, flags: i32) -> Result<(), Errno> {
    let mut one = libc::sembuf { sem_num: number, sem_op: add, sem_flg: flags as i16 };
    // SAFETY: one operation.
    Errno::result(unsafe { libc::semop(id, &raw mut one, 1) }).map(drop)
}

/// Removes a set of semaphores.
pub fn remove_set(id: i32) -> Verdict {
    // SAFETY: the command takes no more.
    Errno::result(unsafe { libc::semctl(id, 0, libc::IPC_RMID) })?;
    Ok(())
}

/// The flag with which the kernel takes an operation back when the process ends.
pub const SEM_UNDO: i32 = 0x1000;
