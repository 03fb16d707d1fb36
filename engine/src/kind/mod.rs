//! Kinds: one file, one type for each kind of kernel object that a descriptor can stand for. [`KINDS`] lists them.
//!
//! A kind recognises a descriptor, dumps it into its message, says what must be restored before it, restores it to a
//! descriptor of the engine's, and adds to a task's batch what only the task can do. A descriptor that no kind claims
//! cannot be dumped; the error names it.

mod bpfmap;
mod buildid;
mod context;
pub mod eventfd;
pub mod eventpoll;
pub mod fanotify;
mod fifo;
pub mod ghost;
mod inotify;
pub mod io_uring;
pub mod locks;
pub mod maker;
pub mod memfd;
mod mounts;
mod mqueue;
mod pidfd;
mod pipe;
mod pipe_data;
pub mod procfs;
pub mod regfile;
pub mod segment;
mod signalfd;
pub mod sk;
pub mod sk_unix;
#[cfg(test)]
mod tests;
mod timerfd;
pub mod tty;
pub mod userfaultfd;
pub mod watched;

use crate::error::{Doing, Error, Result};
use crate::image::proto::{FdTypes, FileEntry, FownEntry};
use crate::proc::fdinfo::FdInfo;
use crate::sys::{self, Pid};
use nix::sys::stat::{FileStat, SFlag};
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

pub use context::{DumpContext, RestoreContext};
pub use ghost::{Ghosts, LinkRemaps};
pub use pipe_data::{Contents, Pipes};

/// Every kind, in the order in which they are asked.
pub static KINDS: &[&dyn Kind] = &[
    &eventfd::Eventfd,
    &eventpoll::Eventpoll,
    &timerfd::Timerfd,
    &signalfd::Signalfd,
    &pidfd::Pidfd,
    &inotify::Inotify,
    &fanotify::Fanotify,
    &bpfmap::BpfMap,
    &userfaultfd::Userfaultfd,
    &io_uring::IoUring,
    &pipe::Pipe,
    &fifo::Fifo,
    &tty::Tty,
    &sk_unix::SkUnix,
    &mqueue::Mqueue,
    &memfd::Memfd,
    &regfile::RegFile,
];

/// A kind of kernel object that descriptors stand for.
pub trait Kind: Sync {
    /// What it is called in the images.
    fn fd_type(&self) -> FdTypes;
    /// Whether the descriptor is of this kind.
    fn claims(&self, descriptor: &Descriptor) -> bool;
    /// Its message. `id` is what descriptors refer to it by.
    fn dump(&self, descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry>;
    /// The ids of the files that must be restored before this one.
    fn needs(&self, entry: &FileEntry) -> Vec<u32>;
    /// The object, as a descriptor of ours: a new open file description with the right flags, offset and owner.
    fn restore(&self, entry: &FileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd>;
    /// The calls by which a task that has the object as its descriptor `fd` adds what only a task can. Asked once for
    /// each open file description, when nobody opens or closes files any more.
    fn attach(&self, entry: &FileEntry, fd: i32, files: &HashMap<u32, FileEntry>) -> Vec<BatchCall>;
}

/// In the place of a descriptor's number: a directory, an executable, a mapped file.
pub const NO_NUMBER: i32 = -1;

/// A descriptor of a frozen task, as the kernel shows it from outside, and our copy of it.
#[derive(Debug)]
pub struct Descriptor {
    /// A live task that has it: we ourselves, where it is only under way in a socket's queue.
    pub pid: Pid,
    /// Its number there; [`NO_NUMBER`] for a file that the task has otherwise.
    pub fd: i32,
    /// The queue in words, where it is only under way in one.
    pub queue: Option<String>,
    /// Where /proc/PID/fd/N points, as the kernel spells it.
    pub link: Vec<u8>,
    /// fstat(2).
    pub stat: FileStat,
    /// fdinfo.
    pub info: FdInfo,
    /// The same open file description in our own table.
    pub copy: OwnedFd,
}

impl Descriptor {
    /// The file type bits of its mode.
    pub fn file_type(&self) -> SFlag {
        SFlag::from_bits_truncate(self.stat.st_mode & SFlag::S_IFMT.bits())
    }

    /// The O_* flags of the open file description, without O_CLOEXEC, which belongs to the descriptor.
    pub fn flags(&self) -> u32 {
        self.info.flags & !(libc::O_CLOEXEC as u32)
    }

    /// Whether it was opened with O_PATH: no I/O, no owner.
    pub fn is_path(&self) -> bool {
        self.flags() & libc::O_PATH as u32 != 0
    }

    /// The file in words: pid, number, target.
    pub fn describe(&self) -> String {
        let link = String::from_utf8_lossy(&self.link);
        match (&self.queue, self.fd) {
            (Some(queue), _) => format!("a descriptor ({link}) in the queue of {queue}"),
            (None, NO_NUMBER) => format!("task {}: file {link}", self.pid),
            (None, fd) => format!("task {}: descriptor {fd} ({link})", self.pid),
        }
    }

    /// Who gets its SIGIO.
    pub fn owner(&self) -> Result<FownEntry> {
        if self.is_path() {
            return Ok(no_owner());
        }
        let fd = self.copy.as_fd();
        let ask = || -> sys::Result<FownEntry> {
            let (kind, pid) = sys::file::owner(fd)?;
            let signum = sys::file::io_signal(fd)? as u32;
            if pid == 0 {
                return Ok(FownEntry { signum, ..no_owner() });
            }
            let (uid, euid) = sys::file::owner_uids(fd)?;
            // Our kinds are the kernel's enum pid_type: thread, process, process group.
            Ok(FownEntry { uid, euid, signum, pid_type: kind as u32, pid: pid as u32 })
        };
        ask().doing(|| format!("ask for the owner of {}", self.describe()))
    }
}

/// Nobody gets signals.
pub fn no_owner() -> FownEntry {
    FownEntry { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 }
}

/// A call that only the task itself can make, for one of its batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchCall {
    /// The number of the system call.
    pub nr: i64,
    /// Its arguments.
    pub args: [u64; 6],
    /// The index of the argument that points at data, and the bytes that it is to point at.
    pub data: Option<(usize, Vec<u8>)>,
    /// What it does, for the error if it fails; follows "failed to".
    pub doing: String,
}

/// The call that turns on asynchronous notice, if `flags` have it: the kernel remembers the number of the descriptor
/// through which that is done, and tells it with the signal.
fn notice(flags: u32, fd: i32) -> Vec<BatchCall> {
    if flags & libc::O_ASYNC as u32 == 0 {
        return Vec::new();
    }
    vec![BatchCall {
        nr: libc::SYS_fcntl,
        args: [fd as u64, libc::F_SETFL as u64, u64::from(flags), 0, 0, 0],
        data: None,
        doing: format!("turn on asynchronous notice of descriptor {fd}"),
    }]
}

/// The kind that claims a descriptor, or an error that names it.
pub fn recognise(descriptor: &Descriptor) -> Result<&'static dyn Kind> {
    match KINDS.iter().find(|kind| kind.claims(descriptor)) {
        Some(kind) => Ok(*kind),
        None => Err(unsupported(descriptor)),
    }
}

/// The message of a file that a task has without a descriptor: its executable, a directory, a mapped file.
pub fn dump_path(descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
    match memfd::is_memfd(descriptor) {
        true => memfd::dump_path(descriptor, id, cx),
        false => regfile::dump_path(descriptor, id, cx),
    }
}

/// The kind of an image's entry.
pub fn of_entry(entry: &FileEntry) -> Result<&'static dyn Kind> {
    match KINDS.iter().find(|kind| kind.fd_type() == entry.r#type()) {
        Some(kind) => Ok(*kind),
        None => Err(Error::state(format!(
            "file {} of the images is a {}, which this version cannot restore",
            entry.id,
            entry.r#type().as_str_name()
        ))),
    }
}

/// Says what the object is that nothing claims.
fn unsupported(descriptor: &Descriptor) -> Error {
    let link = String::from_utf8_lossy(&descriptor.link).into_owned();
    let kind = match link.as_str() {
        l if l.starts_with("socket:") => "sockets of this family are",
        l if l.starts_with("anon_inode:bpf-prog") => "BPF programs are",
        l if l.starts_with("anon_inode:bpf_link") => "BPF links are",
        l if l.starts_with("anon_inode:bpf") || l == "anon_inode:btf" => "BPF objects of this kind are",
        l if l.starts_with("anon_inode:[perf_event]") => "perf events are",
        l if l.starts_with("anon_inode:landlock") => "Landlock rule sets are",
        l if l.starts_with("anon_inode:seccomp") => "seccomp listeners are",
        l if l.contains(":[") && !l.starts_with('/') => "objects of this kind are",
        _ => match descriptor.file_type() {
            SFlag::S_IFCHR | SFlag::S_IFBLK => "this device is",
            _ => "objects of this kind are",
        },
    };
    Error::unsupported(descriptor.describe(), format!("{kind} not supported yet"))
        .with_help("close the descriptor before the dump")
}
