//! What kernel 6.18 wrote, with odd cases put in by hand.

pub const STAT: &[u8] = include_bytes!("samples/stat");
pub const STATUS: &[u8] = include_bytes!("samples/status");
pub const MAPS: &[u8] = include_bytes!("samples/maps");
pub const SMAPS: &[u8] = include_bytes!("samples/smaps");
pub const MOUNTINFO: &[u8] = include_bytes!("samples/mountinfo");
pub const LOCKS: &[u8] = include_bytes!("samples/locks");
pub const TIMERS: &[u8] = include_bytes!("samples/timers");

/// The common part of an fdinfo file.
pub const COMMON: &[u8] = b"pos:\t0\nflags:\t02\nmnt_id:\t17\nino:\t1039\n";
pub const EVENTFD: &[u8] = b"eventfd-count: ffffffffffffff00\neventfd-id: 1\neventfd-semaphore: 1\n";
pub const TIMERFD: &[u8] = b"clockid: 1\nticks: 7\nsettime flags: 03\nit_value: (99, 999996027)\nit_interval: (1, 2)\n";
pub const SIGNALFD: &[u8] = b"sigmask:\t8000000000000200\n";
pub const EPOLL: &[u8] = b"tfd:        7 events: c0000019 data: ffffffffffffffff  pos:-3 ino:40f sdev:10\n\
    tfd:       12 events:        0 data:                8  pos:0 ino:40f sdev:fe00001\n";
pub const INOTIFY: &[u8] = b"inotify wd:1 ino:3c4a7 sdev:fe00000 mask:100 ignored_mask:0 fhandle-bytes:8 \
    fhandle-type:1 f_handle:a7c4030000000000\ninotify wd:a ino:2 sdev:10 mask:fff ignored_mask:0 \n";
pub const FANOTIFY: &[u8] = b"fanotify flags:200 event-flags:8000\n\
    fanotify sdev:fe00000 mflags:0 mask:20 ignored_mask:1\n\
    fanotify ino:3c4a7 sdev:fe00000 mflags:40 mask:2 ignored_mask:0 fhandle-bytes:8 fhandle-type:81 f_handle:a7c4030000000000\n\
    fanotify mnt_id:1e mflags:0 mask:20 ignored_mask:0\n\
    fanotify mnt_ns:4026531832 mflags:0 mask:3000000 ignored_mask:0\n";
pub const TUN: &[u8] = b"iff:\ttap0\n";
pub const PIDFD: &[u8] = b"Pid:\t10732\nNSpid:\t10732\t5\t1\n";
pub const USERFAULTFD: &[u8] = b"pending:\t1\ntotal:\t2\nAPI:\taa:80000000:80000000000001ff\n";
pub const BPF_MAP: &[u8] = b"map_type:\t2\nkey_size:\t4\nvalue_size:\t8\nmax_entries:\t2\nmap_flags:\t0x0\n\
    map_extra:\t0x0\nmemlock:\t328\nmap_id:\t39\nfrozen:\t1\n";
pub const PTMX: &[u8] = b"tty-index:\t4\n";
pub const IO_URING: &[u8] = b"SqMask:\t0x3\nSqHead:\t5\nSqTail:\t6\nCachedSqHead:\t5\nCqMask:\t0x7\nCqHead:\t3\n\
    CqTail:\t4\nCachedCqTail:\t4\nSQEs:\t1\n    1: opcode:NOP, fd:-1, flags:0, off:0, addr:0x0, rw_flags:0x0, \
    buf_index:0 user_data:0\nCQEs:\t1\n    3: user_data:9, res:0, flags:0\nSqThread:\t-1\nSqThreadCpu:\t-1\n\
    SqTotalTime:\t0\nSqWorkTime:\t0\nUserFiles:\t3\n    0: pipe:[123]\n    2: /a\\040b\nUserBufs:\t2\n\
    1: 0x7f0000001000/8192\nPollList:\n  op=6, task_works=0\nCqOverflowList:\n  user_data=1, res=0, flags=0\n\
    NAPI:\tdisabled\n";
pub const UNKNOWN: &[u8] = b"OneKey:\t0x7\nUserFiles:\t1\n    0: pipe:[123]\nno colon here\n";

/// The bodies of all kinds.
pub const BODIES: &[&[u8]] =
    &[EVENTFD, TIMERFD, SIGNALFD, EPOLL, INOTIFY, FANOTIFY, TUN, PIDFD, USERFAULTFD, BPF_MAP, PTMX, IO_URING];

/// An fdinfo file of the common part, `locks` and a body.
pub fn fdinfo(body: &[u8]) -> Vec<u8> {
    [COMMON, body].concat()
}
