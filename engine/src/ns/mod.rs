//! Namespaces that a tree has to itself: what is in them is part of the tree. So far these are IPC and UTS namespaces, of
//! which all processes of the tree are in one and the engine is in another.

pub mod ipc;
pub mod limits;
pub mod mqueue;
pub mod notice;
pub mod undo;
pub mod uts;

use crate::error::{Doing, Error, Result};
use crate::image::proto::TaskKobjIdsEntry;
use crate::sys::Pid;
use nix::sched::CloneFlags;
use std::os::fd::OwnedFd;

/// What to do where an object is in an IPC namespace that does not belong to the tree.
pub const ADVICE: &str = "start the tree in an IPC namespace of its own (unshare --ipc), which is dumped with it";

/// The numbers of the tree's own namespaces in the images; those of the engine come before them.
pub const OWN_IPC: u32 = 9;
/// See [`OWN_IPC`].
pub const OWN_UTS: u32 = 10;

/// The namespaces that a tree has to itself.
#[derive(Debug, Default)]
pub struct Owned {
    /// IPC: System V objects and POSIX message queues.
    pub ipc: Option<OwnedFd>,
    /// UTS: names of host and domain.
    pub uts: Option<OwnedFd>,
}

impl Owned {
    /// The kinds of namespaces that a tree may have to itself, as /proc/PID/ns calls them.
    pub const KINDS: [&'static str; 2] = ["ipc", "uts"];

    /// Takes note of a namespace that a process is in.
    pub fn add(&mut self, pid: Pid, kind: &str) -> Result<()> {
        let path = format!("/proc/{pid}/ns/{kind}");
        let flags = nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_CLOEXEC;
        let fd = nix::fcntl::open(path.as_str(), flags, nix::sys::stat::Mode::empty()).doing(|| format!("open {path}"));
        *(if kind == "ipc" { &mut self.ipc } else { &mut self.uts }) = Some(fd?);
        Ok(())
    }

    /// Puts their numbers in place of the engine's.
    pub fn number(&self, ids: &mut TaskKobjIdsEntry) {
        if self.ipc.is_some() {
            ids.ipc_ns_id = Some(OWN_IPC);
        }
        if self.uts.is_some() {
            ids.uts_ns_id = Some(OWN_UTS);
        }
    }
}

/// Which namespaces the tree of some images has to itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbers {
    /// The IPC namespace's number.
    pub ipc: Option<u32>,
    /// The UTS namespace's number.
    pub uts: Option<u32>,
}

impl Numbers {
    /// Compares what the images say of the engine that dumped with what they say of the root of the tree.
    pub fn of(engine: &TaskKobjIdsEntry, root: &TaskKobjIdsEntry) -> Numbers {
        let own = |engine: Option<u32>, root: Option<u32>| root.filter(|root| engine.is_some_and(|e| e != *root));
        Numbers { ipc: own(engine.ipc_ns_id, root.ipc_ns_id), uts: own(engine.uts_ns_id, root.uts_ns_id) }
    }

    /// The CLONE_NEW* bits by which they are made.
    pub fn clone_flags(&self) -> u64 {
        let bit = |own: bool, flag: CloneFlags| if own { flag.bits() as u64 } else { 0 };
        bit(self.ipc.is_some(), CloneFlags::CLONE_NEWIPC) | bit(self.uts.is_some(), CloneFlags::CLONE_NEWUTS)
    }
}

/// Does something in another namespace: a thread of its own enters it, and ends.
pub fn inside<T: Send>(namespace: &OwnedFd, body: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            nix::sched::setns(namespace, CloneFlags::empty()).doing(|| "enter a namespace of the tree")?;
            body()
        });
        thread.join().unwrap_or_else(|_| Err(Error::state("the work in a namespace of the tree failed")))
    })
}
