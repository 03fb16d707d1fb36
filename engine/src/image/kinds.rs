//! The one table of image files: name, magic, message and payload of each kind.

use std::fmt;
use std::marker::PhantomData;

use prost::Name as _;

use super::proto::*;

/// First word of most files.
pub const COMMON_MAGIC: u32 = 0x5456_4319;
/// First word of files that are no part of the state, such as statistics.
pub const SERVICE_MAGIC: u32 = 0x5510_5940;

/// How a file begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// No head and no entries: bytes of another format.
    Raw,
    /// Its own magic alone.
    Bare(u32),
    /// [`COMMON_MAGIC`], then its own.
    Common(u32),
    /// [`SERVICE_MAGIC`], then its own.
    Service(u32),
}

/// What stands after each entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Nothing.
    None,
    /// As many bytes as this field says.
    Bytes(&'static str),
    /// `inq_len` bytes, then `outq_len` bytes.
    TcpQueues,
    /// `keys_bytes` bytes, then `values_bytes` bytes.
    BpfMap,
    /// The contents up to the end of the file, or pieces, each with its `ghost_chunk_entry`, if `chunks` is set.
    Ghost,
    /// `size` bytes padded to 4; nothing if `in_pagemaps` is set.
    Segment,
    /// `nsems` words of 16 bits, padded to 8 bytes.
    Semaphores,
    /// `qnum` times a framed `ipc_msg` and its `msize` bytes, padded to 8.
    Messages,
}

/// A kind of image file.
#[derive(Debug)]
pub struct Kind {
    /// Name of its magic, as crit shows it.
    pub magic: &'static str,
    /// How it begins.
    pub head: Head,
    /// File name, `%u` (decimal) or `%x` (hexadecimal) for the id.
    pub pattern: &'static str,
    /// Message of its first entry, if that differs from the others.
    pub first: Option<&'static str>,
    /// Message of its entries; empty for a raw file.
    pub entry: &'static str,
    /// What stands after each entry.
    pub payload: Payload,
}

impl Kind {
    /// The file's name with `id` in its place.
    pub fn file_name(&self, id: Option<u64>) -> String {
        let id = id.unwrap_or_default();
        match self.pattern.split_once('%').map(|(a, b)| (a, b.split_at(1))) {
            Some((before, ("x", after))) => format!("{before}{id:x}{after}"),
            Some((before, (_, after))) => format!("{before}{id}{after}"),
            None => self.pattern.to_owned(),
        }
    }

    /// Whether `name` is a file of this kind; with the id in it.
    pub fn matches(&self, name: &str) -> Option<Option<u64>> {
        let Some((before, rest)) = self.pattern.split_once('%') else {
            return (name == self.pattern).then_some(None);
        };
        let (form, after) = rest.split_at(1);
        let id = name.strip_prefix(before)?.strip_suffix(after)?;
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u64::from_str_radix(id, if form == "x" { 16 } else { 10 }).ok().map(Some)
    }
}

/// A kind whose entries are the message `M`.
pub struct Image<M> {
    kind: &'static Kind,
    message: PhantomData<fn() -> M>,
}

/// A file of a kind whose entries are the message `M`. Displays as the file's name.
pub struct Name<M> {
    /// Its kind.
    pub kind: &'static Kind,
    /// The number in its name.
    pub id: Option<u64>,
    message: PhantomData<fn() -> M>,
}

impl<M> Image<M> {
    const fn new(kind: &'static Kind) -> Self {
        Self { kind, message: PhantomData }
    }

    /// The untyped kind.
    pub const fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// The file with this number in its name: a pid, a namespace's id, a `files_id`….
    pub fn of(&self, id: impl Into<u64>) -> Name<M> {
        Name { kind: self.kind, id: Some(id.into()), message: PhantomData }
    }

    /// The only file of its kind.
    pub const fn single(&self) -> Name<M> {
        Name { kind: self.kind, id: None, message: PhantomData }
    }
}

impl<M> Clone for Name<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Name<M> {}

impl<M> fmt::Display for Name<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind.file_name(self.id))
    }
}

impl<M> fmt::Debug for Name<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The kind with this magic name. Kinds that share a magic share their entries too.
pub fn by_magic_name(magic: &str) -> Option<&'static Kind> {
    all().find(|k| k.magic == magic && k.head != Head::Raw)
}

/// The kind that begins so.
pub fn by_head(head: Head) -> Option<&'static Kind> {
    all().find(|k| k.head == head && head != Head::Raw)
}

/// The kind of a file with this name.
pub fn by_file_name(name: &str) -> Option<&'static Kind> {
    all().find(|k| k.matches(name).is_some())
}

macro_rules! kinds {
    (@first) => { None };
    (@first $first:ty) => { Some(<$first>::NAME) };
    (@payload) => { Payload::None };
    (@payload $payload:expr) => { $payload };
    ($($(#[$doc:meta])* $id:ident $pattern:literal $head:ident($number:literal) $({ $first:ty })? $entry:ty
        $(, $payload:expr)?;)*) => {
        $($(#[$doc])* pub const $id: Image<$entry> = Image::new(&Kind {
            magic: stringify!($id),
            head: Head::$head($number),
            pattern: $pattern,
            first: kinds!(@first $($first)?),
            entry: <$entry>::NAME,
            payload: kinds!(@payload $($payload)?),
        });)*
        const FRAMED: &[&Kind] = &[$($id.kind),*];
    };
    (raw $($(#[$doc:meta])* $id:ident $pattern:literal;)*) => {
        $($(#[$doc])* pub const $id: Image<()> = Image::new(&Kind {
            magic: stringify!($id),
            head: Head::Raw,
            pattern: $pattern,
            first: None,
            entry: "",
            payload: Payload::None,
        });)*
        const RAW: &[&Kind] = &[$($id.kind),*];
    };
}

kinds! {
    /// Version and identity of the dump.
    INVENTORY "inventory.img" Bare(0x5831_3116) InventoryEntry;
    /// Descriptors, by `files_id`.
    FDINFO "fdinfo-%u.img" Common(0x5621_3732) FdinfoEntry;
    /// Saved pages of a task, by pid.
    PAGEMAP "pagemap-%u.img" Common(0x5608_4025) { PagemapHead } PagemapEntry;
    /// Saved pages of a shared segment or memory file, by its shmid.
    PAGEMAP_SHMEM "pagemap-shmem-%u.img" Common(0x5608_4025) { PagemapHead } PagemapEntry;
    /// Registrations of epoll sets, in images before they were part of the set's own entry.
    EVENTPOLL_TFD "eventpoll-tfd.img" Common(0x4443_3746) EventpollTfdEntry;
    /// Inotify watches, in images before they were part of the instance's own entry.
    INOTIFY_WD "inotify-wd.img" Common(0x5456_2009) InotifyWdEntry;
    /// Fanotify marks, in images before they were part of the group's own entry.
    FANOTIFY_MARK "fanotify-mark.img" Common(0x5650_6035) FanotifyMarkEntry;
    /// Threads, by tid.
    CORE "core-%u.img" Common(0x5505_3847) CoreEntry;
    /// Shared kernel objects and namespaces of a task, by pid.
    IDS "ids-%u.img" Common(0x5443_2030) TaskKobjIdsEntry;
    /// Address spaces, by pid.
    MM "mm-%u.img" Common(0x5749_2820) MmEntry;
    /// Contents of pipes.
    PIPES_DATA "pipes-data.img" Common(0x5645_3709) PipeDataEntry, Payload::Bytes("bytes");
    /// Contents of fifos.
    FIFO_DATA "fifo-data.img" Common(0x5933_3054) PipeDataEntry, Payload::Bytes("bytes");
    /// The tree of tasks.
    PSTREE "pstree.img" Common(0x5027_3030) PstreeEntry;
    /// Messages queued in sockets.
    SK_QUEUES "sk-queues.img" Common(0x5626_4026) SkPacketEntry, Payload::Bytes("length");
    /// UTS namespaces, by id.
    UTSNS "utsns-%u.img" Common(0x5447_3203) UtsnsEntry;
    /// Settings of IPC namespaces, by id.
    IPCNS_VAR "ipcns-var-%u.img" Common(0x5311_5007) IpcVarEntry;
    /// SysV shared memory, by namespace id.
    IPCNS_SHM "ipcns-shm-%u.img" Common(0x4628_3044) IpcShmEntry, Payload::Segment;
    /// SysV message queues, by namespace id.
    IPCNS_MSG "ipcns-msg-%u.img" Common(0x5545_3737) IpcMsgEntry, Payload::Messages;
    /// SysV semaphores, by namespace id.
    IPCNS_SEM "ipcns-sem-%u.img" Common(0x5957_3019) IpcSemEntry, Payload::Semaphores;
    /// Root, working directory and umask, by pid.
    FS "fs-%u.img" Common(0x5140_3912) FsEntry;
    /// Open files that lost their path.
    REMAP_FPATH "remap-fpath.img" Common(0x5913_3954) RemapFilePathEntry;
    /// Deleted files, by the ghost's id.
    GHOST_FILE "ghost-file-%x.img" Common(0x5258_3605) GhostFileEntry, Payload::Ghost;
    /// Memory files.
    MEMFD_INODE "memfd.img" Common(0x4845_3499) MemfdInodeEntry;
    /// TCP connections, by the socket's id.
    TCP_STREAM "tcp-stream-%x.img" Common(0x5146_5506) TcpStreamEntry, Payload::TcpQueues;
    /// Mounts, by namespace id.
    MNTS "mountpoints-%u.img" Common(0x5556_3928) MntEntry;
    /// Network devices, by namespace id.
    NETDEV "netdev-%u.img" Common(0x5737_3951) NetDeviceEntry;
    /// Settings of network namespaces, by id.
    NETNS "netns-%u.img" Common(0x5593_3752) NetnsEntry;
    /// Autofs mounts, by mount id.
    AUTOFS "autofs-%u.img" Common(0x4935_3943) AutofsEntry;
    /// Binary formats.
    BINFMT_MISC "binfmt-misc.img" Common(0x6734_3323) BinfmtMiscEntry;
    /// Terminals.
    TTY_INFO "tty-info.img" Common(0x5945_3036) TtyInfoEntry;
    /// Bytes queued in terminals.
    TTY_DATA "tty-data.img" Common(0x5941_3026) TtyDataEntry;
    /// Locks and leases.
    FILE_LOCKS "filelocks.img" Common(0x5432_3616) FileLockEntry;
    /// Control groups.
    CGROUP "cgroup.img" Common(0x5938_3330) CgroupEntry;
    /// Features of the CPU.
    CPUINFO "cpuinfo.img" Common(0x6140_4013) CpuinfoEntry;
    /// Seccomp filters.
    SECCOMP "seccomp.img" Common(0x6441_3049) SeccompEntry;
    /// User namespaces, by id.
    USERNS "userns-%u.img" Common(0x5547_4906) UsernsEntry;
    /// Open file descriptions.
    FILES "files.img" Common(0x5630_3138) FileEntry;
    /// Time namespaces, by id.
    TIMENS "timens-%u.img" Common(0x4311_4433) TimensEntry;
    /// Pid namespaces, by id.
    PIDNS "pidns-%u.img" Common(0x6115_7326) PidnsEntry;
    /// Contents of BPF maps.
    BPFMAP_DATA "bpfmap-data.img" Common(0x6432_4033) BpfmapDataEntry, Payload::BpfMap;
    /// AppArmor policies.
    APPARMOR "apparmor.img" Common(0x5942_3047) ApparmorEntry;
    /// Statistics of a dump.
    STATS "stats-dump" Service(0x5709_3306) StatsEntry;
    /// Statistics of a restore.
    STATS_RESTORE "stats-restore" Service(0x5709_3306) StatsEntry;
    /// Interrupted system calls as the kernel left them.
    STASIS_RESTART "stasis-restart.img" Common(0x5354_5201) StasisRestartEntry;
    /// Anonymous pages that relatives share.
    STASIS_SHARING "stasis-sharing.img" Common(0x5354_5302) StasisSharingEntry;
    /// State of tasks that CRIU's messages have no field for.
    STASIS_TASK "stasis-task.img" Common(0x5354_5403) StasisTaskEntry;
    /// What deleted files have that CRIU's message has no field for.
    STASIS_GHOST "stasis-ghost.img" Common(0x5354_4705) StasisGhostEntry;
    /// Files that were given new names, by their handles.
    STASIS_LINK "stasis-link.img" Common(0x5354_4c07) StasisLinkEntry;
    /// Owners of pipes, and packets inside pipes and fifos.
    STASIS_PIPE "stasis-pipe.img" Common(0x5354_5006) StasisPipeEntry;
    /// What open files have that CRIU's messages have no field for.
    STASIS_FILE "stasis-file.img" Common(0x5354_4609) StasisFileEntry;
    /// What terminals have that CRIU's messages have no field for.
    STASIS_TTY "stasis-tty.img" Common(0x5354_740a) StasisTtyEntry;
    /// What memory files have that CRIU's message has no field for.
    STASIS_MEMFD "stasis-memfd.img" Common(0x5354_4d0a) StasisMemfdEntry;
    /// What sockets have that CRIU's messages have no field for.
    STASIS_SOCKET "stasis-socket.img" Common(0x5354_530b) StasisSocketEntry;
    /// The CPU, where CRIU's message has no place for it.
    STASIS_CPU "stasis-cpu.img" Common(0x5354_4308) StasisCpuEntry;
    /// POSIX message queues.
    STASIS_MQUEUE "stasis-mqueue.img" Common(0x5354_510a) StasisMqueueEntry;
    /// What a complete directory holds.
    STASIS_MANIFEST "stasis-manifest.img" Common(0x5354_4d04) StasisManifestEntry;
}

kinds! { raw
    /// Contents of pages, by the `pages_id` of a page map.
    PAGES "pages-%u.img";
    /// Addresses of network devices, as `ip addr save` prints them.
    IFADDR "ifaddr-%u.img";
    /// IPv4 routes, as `ip route save` prints them.
    ROUTE "route-%u.img";
    /// IPv6 routes, as `ip -6 route save` prints them.
    ROUTE6 "route6-%u.img";
    /// Routing rules, as `ip rule save` prints them.
    RULE "rule-%u.img";
    /// IPv4 firewall, as iptables-save prints it.
    IPTABLES "iptables-%u.img";
    /// IPv6 firewall, as ip6tables-save prints it.
    IP6TABLES "ip6tables-%u.img";
    /// Firewall, as `nft list ruleset` prints it.
    NFTABLES "nftables-%u.img";
    /// Contents of a tmpfs mount, a gzipped tar.
    TMPFS "tmpfs-%u.tar.gz.img";
    /// Contents of a devtmpfs mount, a gzipped tar.
    TMPFS_DEV "tmpfs-dev-%u.tar.gz.img";
    /// Tracked connections.
    NETNS_CT "netns-ct-%u.img";
    /// Expected connections.
    NETNS_EXP "netns-exp-%u.img";
}

/// Every kind, framed ones first.
pub fn all() -> impl Iterator<Item = &'static Kind> {
    FRAMED.iter().chain(RAW).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        assert_eq!(CORE.of(18677u32).to_string(), "core-18677.img");
        assert_eq!(GHOST_FILE.of(26u32).to_string(), "ghost-file-1a.img");
        assert_eq!(FILES.single().to_string(), "files.img");
        for kind in all() {
            let name = kind.file_name(Some(42));
            let found = by_file_name(&name).expect("a kind's own name finds it");
            assert_eq!(found.pattern, kind.pattern, "{name} is of two kinds");
        }
        assert_eq!(GHOST_FILE.kind().matches("ghost-file-1a.img"), Some(Some(26)));
        assert_eq!(CORE.kind().matches("core-.img"), None);
        assert_eq!(CORE.kind().matches("core--1.img"), None);
        assert_eq!(CORE.kind().matches("core-99999999999999999999.img"), None);
    }

    #[test]
    fn magics_are_unique() {
        for (i, a) in FRAMED.iter().enumerate() {
            for b in &FRAMED[i + 1..] {
                assert!(a.head != b.head || a.entry == b.entry, "{} and {}", a.pattern, b.pattern);
                assert_ne!(a.pattern, b.pattern);
            }
        }
    }
}
