//! SysV IPC objects of the calling thread's IPC namespace: shmctl(2), msgctl(2), semctl(2) and the calls that make, fill
//! and read them.

use super::{Errno, Result, check};
use std::os::fd::OwnedFd;

/// The commands by which the kernel tells of its n-th object, whoever may read it (Linux 4.17).
const SHM_STAT_ANY: i32 = 15;
const MSG_STAT_ANY: i32 = 13;
const SEM_STAT_ANY: i32 = 20;
const SHM_INFO: i32 = 14;
const MSG_INFO: i32 = 12;
const SEM_INFO: i32 = 19;
/// Reads the n-th message and leaves it in its queue.
const MSG_COPY: i32 = 0o40000;

/// What all objects have: `struct ipc_perm`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Perm {
    /// The key, 0 for none.
    pub key: u32,
    /// The owner.
    pub uid: u32,
    /// The owner's group.
    pub gid: u32,
    /// The creator.
    pub cuid: u32,
    /// The creator's group.
    pub cgid: u32,
    /// Permissions, and for a segment SHM_DEST and SHM_LOCKED.
    pub mode: u32,
}

impl Perm {
    fn of(raw: &libc::ipc_perm) -> Perm {
        let (uid, gid, cuid, cgid) = (raw.uid, raw.gid, raw.cuid, raw.cgid);
        Perm { key: raw.__key as u32, uid, gid, cuid, cgid, mode: raw.mode as u32 }
    }

    fn put(&self, raw: &mut libc::ipc_perm) {
        (raw.uid, raw.gid, raw.mode) = (self.uid, self.gid, (self.mode & 0o777) as _);
    }
}

/// An object: its id, what all have, and what this kind has.
#[derive(Debug, Clone, Copy)]
pub struct Object<T> {
    /// Its id.
    pub id: i32,
    /// Key, owners, mode.
    pub perm: Perm,
    /// The rest.
    pub about: T,
}

/// A segment of shared memory.
#[derive(Debug, Clone, Copy)]
pub struct Segment {
    /// Bytes.
    pub size: u64,
    /// How many areas map it.
    pub attached: u64,
}

/// A message queue.
#[derive(Debug, Clone, Copy)]
pub struct Queue {
    /// The most bytes that it holds.
    pub max_bytes: u64,
    /// Messages in it.
    pub messages: u64,
}

/// All objects of a kind; `stat` tells of the n-th.
fn all<T>(last: libc::c_int, stat: impl Fn(i32) -> Result<Object<T>>) -> Result<Vec<Object<T>>> {
    let mut objects = Vec::new();
    for index in 0..=check(last.into())? as i32 {
        match stat(index) {
            Ok(object) => objects.push(object),
            // A place that is free.
            Err(Errno::EINVAL | Errno::EIDRM) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(objects)
}

/// Every segment.
pub fn segments() -> Result<Vec<Object<Segment>>> {
    let mut info = [0u64; 16];
    // SAFETY: the kernel fills in a `struct shm_info`, which is smaller than the buffer.
    let last = unsafe { libc::shmctl(0, SHM_INFO, info.as_mut_ptr().cast()) };
    all(last, |index| {
        // SAFETY: all zeroes are a value of the structure, and the kernel fills it in.
        unsafe {
            let mut raw = std::mem::zeroed::<libc::shmid_ds>();
            let id = check(libc::shmctl(index, SHM_STAT_ANY, &raw mut raw).into())? as i32;
            let about = Segment { size: raw.shm_segsz as u64, attached: raw.shm_nattch as u64 };
            Ok(Object { id, perm: Perm::of(&raw.shm_perm), about })
        }
    })
}

/// Every message queue.
pub fn queues() -> Result<Vec<Object<Queue>>> {
    let mut info = [0u64; 16];
    // SAFETY: the kernel fills in a `struct msginfo`, which is smaller than the buffer.
    let last = unsafe { libc::msgctl(0, MSG_INFO, info.as_mut_ptr().cast()) };
    all(last, |index| {
        // SAFETY: all zeroes are a value of the structure, and the kernel fills it in.
        unsafe {
            let mut raw = std::mem::zeroed::<libc::msqid_ds>();
            let id = check(libc::msgctl(index, MSG_STAT_ANY, &raw mut raw).into())? as i32;
            let about = Queue { max_bytes: raw.msg_qbytes as u64, messages: raw.msg_qnum as u64 };
            Ok(Object { id, perm: Perm::of(&raw.msg_perm), about })
        }
    })
}

/// Every set of semaphores, with the number of its members.
pub fn sets() -> Result<Vec<Object<u32>>> {
    let mut info = [0u64; 16];
    // SAFETY: the kernel fills in a `struct seminfo`, which is smaller than the buffer.
    let last = unsafe { libc::semctl(0, 0, SEM_INFO, info.as_mut_ptr()) };
    all(last, |index| {
        // SAFETY: all zeroes are a value of the structure, and the kernel fills it in.
        unsafe {
            let mut raw = std::mem::zeroed::<libc::semid_ds>();
            let id = check(libc::semctl(index, 0, SEM_STAT_ANY, &raw mut raw).into())? as i32;
            Ok(Object { id, perm: Perm::of(&raw.sem_perm), about: raw.sem_nsems as u32 })
        }
    })
}

/// Makes a segment; `flags` are more SHM_* bits. Returns its id.
pub fn make_segment(perm: &Perm, size: u64, flags: i32) -> Result<i32> {
    let flags = libc::IPC_CREAT | libc::IPC_EXCL | (perm.mode & 0o777) as i32 | flags;
    // SAFETY: integers only.
    check(unsafe { libc::shmget(perm.key as i32, size as usize, flags) }.into()).map(|id| id as i32)
}

/// Makes a message queue. Returns its id.
pub fn make_queue(perm: &Perm) -> Result<i32> {
    let flags = libc::IPC_CREAT | libc::IPC_EXCL | (perm.mode & 0o777) as i32;
    // SAFETY: integers only.
    check(unsafe { libc::msgget(perm.key as i32, flags) }.into()).map(|id| id as i32)
}

/// Makes a set of semaphores. Returns its id.
pub fn make_set(perm: &Perm, members: u32) -> Result<i32> {
    let flags = libc::IPC_CREAT | libc::IPC_EXCL | (perm.mode & 0o777) as i32;
    let members = i32::try_from(members).map_err(|_| Errno::EINVAL)?;
    // SAFETY: integers only.
    check(unsafe { libc::semget(perm.key as i32, members, flags) }.into()).map(|id| id as i32)
}

/// Gives a segment its owner and mode.
pub fn own_segment(id: i32, perm: &Perm) -> Result<()> {
    // SAFETY: all zeroes are a value of the structure; the kernel reads it.
    unsafe {
        let mut raw = std::mem::zeroed::<libc::shmid_ds>();
        perm.put(&mut raw.shm_perm);
        check(libc::shmctl(id, libc::IPC_SET, &raw mut raw).into()).map(drop)
    }
}

/// Gives a message queue its owner, mode and size.
pub fn own_queue(id: i32, perm: &Perm, max_bytes: u64) -> Result<()> {
    // SAFETY: all zeroes are a value of the structure; the kernel reads it.
    unsafe {
        let mut raw = std::mem::zeroed::<libc::msqid_ds>();
        perm.put(&mut raw.msg_perm);
        raw.msg_qbytes = max_bytes as _;
        check(libc::msgctl(id, libc::IPC_SET, &raw mut raw).into()).map(drop)
    }
}

/// Gives a set of semaphores its owner and mode.
pub fn own_set(id: i32, perm: &Perm) -> Result<()> {
    // SAFETY: all zeroes are a value of the structure; the kernel reads it.
    unsafe {
        let mut raw = std::mem::zeroed::<libc::semid_ds>();
        perm.put(&mut raw.sem_perm);
        check(libc::semctl(id, 0, libc::IPC_SET, &raw mut raw).into()).map(drop)
    }
}

/// Locks a segment in memory.
pub fn lock_segment(id: i32) -> Result<()> {
    const SHM_LOCK: i32 = 11;
    // SAFETY: the command takes no structure.
    check(unsafe { libc::shmctl(id, SHM_LOCK, std::ptr::null_mut()) }.into()).map(drop)
}

/// Removes a segment; one that is attached lives on until it is not.
pub fn remove_segment(id: i32) -> Result<()> {
    // SAFETY: the command takes no structure.
    check(unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) }.into()).map(drop)
}

/// A segment that this process has attached until the value is dropped.
#[derive(Debug)]
pub struct Attachment {
    at: usize,
    writable: bool,
}

impl Attachment {
    /// Attaches a segment; one that was removed, too, as long as somebody else has it.
    pub fn new(id: i32, writable: bool) -> Result<Attachment> {
        let flags = if writable { 0 } else { libc::SHM_RDONLY };
        // SAFETY: a new mapping at an address of the kernel's choice; nothing else uses it.
        let at = unsafe { libc::shmat(id, std::ptr::null(), flags) };
        if at as isize == -1 { Err(Errno::last()) } else { Ok(Attachment { at: at as usize, writable }) }
    }

    /// The memory of the segment as a file, whose users do not count as attached.
    pub fn memory(&self) -> Result<OwnedFd> {
        let start = format!("{:x}-", self.at);
        let maps = std::fs::read_to_string("/proc/thread-self/maps").unwrap_or_default();
        let range = maps.lines().find(|line| line.starts_with(&start)).and_then(|line| line.split(' ').next());
        let open = if self.writable { nix::fcntl::OFlag::O_RDWR } else { nix::fcntl::OFlag::O_RDONLY };
        let path = format!("/proc/self/map_files/{}", range.unwrap_or_default());
        nix::fcntl::open(path.as_str(), open | nix::fcntl::OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty())
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // SAFETY: the mapping made by `new`, of which no reference exists.
        unsafe { libc::shmdt(self.at as *const libc::c_void) };
    }
}

/// The message at place `index` of a queue, which stays there: type and text. ENOSYS where the kernel has no
/// CONFIG_CHECKPOINT_RESTORE. `buffer` is as long as the longest message, and 8 bytes.
pub fn copy_message(id: i32, index: u64, buffer: &mut [u8]) -> Result<(u64, Vec<u8>)> {
    let len = buffer.len().saturating_sub(8);
    let flags = MSG_COPY | libc::IPC_NOWAIT;
    // SAFETY: the buffer has room for the type and `len` bytes.
    let got = unsafe { libc::msgrcv(id, buffer.as_mut_ptr().cast(), len, index as libc::c_long, flags) };
    let got = check(got as libc::c_long)? as usize;
    let (kind, text) = buffer.split_first_chunk::<8>().ok_or(Errno::EINVAL)?;
    Ok((u64::from_ne_bytes(*kind), text[..got].to_vec()))
}

/// Puts a message behind the others of a queue, if it has room.
pub fn send_message(id: i32, kind: u64, text: &[u8]) -> Result<()> {
    let bytes = [&kind.to_ne_bytes(), text].concat();
    // SAFETY: the buffer holds the type and as many bytes as are said.
    check(unsafe { libc::msgsnd(id, bytes.as_ptr().cast(), text.len(), libc::IPC_NOWAIT) }.into()).map(drop)
}

/// The values of all semaphores of a set that has `members`.
pub fn values(id: i32, members: u32) -> Result<Vec<u16>> {
    const GETALL: i32 = 13;
    let mut values = vec![0u16; members as usize];
    // SAFETY: the buffer has room for as many values as the set has members, which nobody can change.
    check(unsafe { libc::semctl(id, 0, GETALL, values.as_mut_ptr()) }.into())?;
    Ok(values)
}

/// Sets the values of all semaphores of a set; there must be as many as it has members.
pub fn set_values(id: i32, values: &[u16]) -> Result<()> {
    const SETALL: i32 = 17;
    // SAFETY: the kernel reads as many values as the set has members; the caller made it with so many.
    check(unsafe { libc::semctl(id, 0, SETALL, values.as_ptr()) }.into()).map(drop)
}

/// Lets go of what this thread shares of semaphore adjustments (unshare(2), CLONE_SYSVSEM): it has none then.
pub fn forget_adjustments() -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::unshare(libc::CLONE_SYSVSEM) }.into()).map(drop)
}

/// Has this thread make something as another user and group would, with their ids as its creator's.
pub fn as_creator<T>(uid: u32, gid: u32, body: impl FnOnce() -> Result<T>) -> Result<T> {
    let set_gid = |gid: u32| {
        // SAFETY: integers only; the raw call changes this thread alone.
        check(unsafe { libc::syscall(libc::SYS_setresgid, u32::MAX, gid, u32::MAX) }).map(drop)
    };
    let before = nix::unistd::getegid().as_raw();
    set_gid(gid)?;
    let result = super::file::as_user(u32::MAX, uid, body);
    set_gid(before)?;
    result
}
