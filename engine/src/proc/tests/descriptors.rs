//! fdinfo and locks.

use nix::unistd::Pid;

use super::samples::{self, LOCKS, fdinfo as with};
use super::{changed, refused};
use crate::proc::fdinfo::{self, Body, BpfMap, EpollTarget, Eventfd, FdInfo, Pidfd, Timerfd, Userfaultfd, kernel_dev};
use crate::proc::locks::{self, Lock, LockKind, LockMode, LockState};
use crate::proc::notify::{Fanotify, FanotifyMark, FileHandle, InotifyWatch, MarkTarget};

fn body(text: &[u8]) -> Body {
    let it = fdinfo::parse(&with(text)).unwrap();
    assert!(it.other.is_empty(), "{:?}", it.other);
    it.body
}

#[test]
fn the_common_part() {
    let it = fdinfo::parse(b"pos:\t-4096\nflags:\t0102100002\nmnt_id:\t27\n").unwrap();
    let expected = FdInfo {
        pos: -4096,
        flags: 0o102_100_002,
        mnt_id: 27,
        ino: None,
        locks: vec![],
        body: Body::None,
        other: vec![],
    };
    assert_eq!(it, expected);
    assert_eq!(refused(fdinfo::parse(b"pos:\t0\nflags:\t02\n")), "line 2: expected a line `mnt_id:`, found \"\"");
    assert!(refused(fdinfo::parse(b"")).contains("a line `pos:`"));
    assert_eq!(
        refused(fdinfo::parse(b"pos:\t0\nflags:\t09\nmnt_id:\t1\n")).as_str(),
        "line 2: expected the end of the line, found \"9\""
    );
}

#[test]
fn bodies_of_simple_kinds() {
    assert_eq!(body(b""), Body::None);
    let eventfd = Eventfd { count: 0xffff_ffff_ffff_ff00, id: Some(1), semaphore: Some(true) };
    assert_eq!(body(samples::EVENTFD), Body::Eventfd(eventfd));
    let old = Eventfd { count: 5, id: None, semaphore: None };
    assert_eq!(body(b"eventfd-count:                5\n"), Body::Eventfd(old));
    let timerfd = Timerfd { clock: 1, ticks: 7, settime_flags: 3, value: (99, 999_996_027), interval: (1, 2) };
    assert_eq!(body(samples::TIMERFD), Body::Timerfd(timerfd));
    assert_eq!(body(samples::SIGNALFD), Body::Signalfd(0x8000_0000_0000_0200));
    assert_eq!(body(samples::TUN), Body::Tun(b"tap0".to_vec()));
    assert_eq!(body(samples::PTMX), Body::Ptmx(4));
    let map = fdinfo::parse(&with(samples::BPF_MAP)).unwrap();
    assert_eq!(map.body, Body::BpfMap(BpfMap { kind: 2, memlock: 328, frozen: true }));
    let pidfd = Pidfd { pid: Pid::from_raw(10732), ns_pids: [10732, 5, 1].map(Pid::from_raw).to_vec() };
    assert_eq!(body(samples::PIDFD), Body::Pidfd(pidfd));
    assert_eq!(body(b"Pid:\t-1\n"), Body::Pidfd(Pidfd { pid: Pid::from_raw(-1), ns_pids: vec![] }));
    let userfaultfd =
        Userfaultfd { pending: 1, total: 2, api: 0xaa, features: 0x8000_0000, ioctls: 0x8000_0000_0000_01ff };
    assert_eq!(body(samples::USERFAULTFD), Body::Userfaultfd(userfaultfd));
}

#[test]
fn rings() {
    let Body::IoUring(it) = body(samples::IO_URING) else { panic!("no ring") };
    assert_eq!((it.sq_mask, it.cq_mask, it.submitted, it.completed), (3, 7, 5, 4));
    assert_eq!((it.sq_thread, it.napi, it.personalities, it.overflown), (Some(-1), false, 0, 1));
    assert_eq!((it.file_slots, it.files), (3, vec![(0, b"pipe:[123]".to_vec()), (2, b"/a b".to_vec())]));
    assert_eq!((it.buffer_slots, it.buffers), (2, vec![(1, 0x7f00_0000_1000, 8192)]));
    assert_eq!(it.waiting, [b"op=6, task_works=0"]);
    let error = refused(fdinfo::parse(&with(&changed(samples::IO_URING, "/8192", ""))));
    assert!(error.contains("expected `0xADDRESS/LENGTH`"), "{error}");
}

#[test]
fn epoll_registrations() {
    let target = |fd, events, data, pos, sdev| EpollTarget { fd, events, data, pos, ino: 0x40f, sdev };
    let expected = vec![target(7, 0xc000_0019, u64::MAX, -3, 0x10), target(12, 0, 8, 0, 0xfe0_0001)];
    assert_eq!(body(samples::EPOLL), Body::Epoll(expected));
    assert_eq!(kernel_dev(0xfe0_0001), (254, 1));
    let error = refused(fdinfo::parse(&with(&changed(samples::EPOLL, "pos:-3 ", ""))));
    assert!(error.starts_with("line 5: expected `tfd: "), "{error}");
}

#[test]
fn watches_and_marks() {
    let handle = |kind| Some(FileHandle { kind, bytes: vec![0xa7, 0xc4, 3, 0, 0, 0, 0, 0] });
    let watch = |wd, ino, sdev, mask, handle| InotifyWatch { wd, ino, sdev, mask, ignored_mask: 0, handle };
    let watches = vec![watch(1, 0x3c4a7, 0xfe0_0000, 0x100, handle(1)), watch(10, 2, 0x10, 0xfff, None)];
    assert_eq!(body(samples::INOTIFY), Body::Inotify(watches));
    let mark = |target, flags, mask, ignored_mask| FanotifyMark { target, flags, mask, ignored_mask };
    let marks = vec![
        mark(MarkTarget::FileSystem(0xfe0_0000), 0, 0x20, 1),
        mark(MarkTarget::Inode { ino: 0x3c4a7, sdev: 0xfe0_0000, handle: handle(0x81) }, 0x40, 2, 0),
        mark(MarkTarget::Mount(0x1e), 0, 0x20, 0),
        mark(MarkTarget::MountNamespace(4_026_531_832), 0, 0x300_0000, 0),
    ];
    assert_eq!(body(samples::FANOTIFY), Body::Fanotify(Fanotify { flags: 0x200, event_flags: 0x8000, marks }));
}

#[test]
fn wrong_watches() {
    let wrong = |text, from: &str, to: &str| refused(fdinfo::parse(&with(&changed(text, from, to))));
    assert!(wrong(samples::INOTIFY, "bytes:8", "bytes:9").contains("as many as announced"));
    assert!(wrong(samples::INOTIFY, "a7c4", "a7c").contains("as many as announced"));
    assert!(wrong(samples::INOTIFY, "wd:1", "").contains("line 5: expected wd, ino, sdev and mask"));
    assert!(
        wrong(samples::INOTIFY, "mask:100", "news:100").contains("expected a known field of a watch, found \"news")
    );
    assert!(wrong(samples::FANOTIFY, "mnt_id:1e ", "").contains("line 8: expected a mark with its target"));
}

#[test]
fn unknown_lines_are_kept() {
    let it = fdinfo::parse(&with(samples::UNKNOWN)).unwrap();
    assert_eq!(it.body, Body::None);
    assert_eq!(it.other, [&b"OneKey:\t0x7"[..], b"UserFiles:\t1", b"    0: pipe:[123]", b"no colon here"]);
    // A line of another kind, and a name of the common part used again.
    let it = fdinfo::parse(&with(b"eventfd-count: 1\nsigmask:\t1\nino:\t5\n")).unwrap();
    assert_eq!(it.body, Body::Eventfd(Eventfd { count: 1, id: None, semaphore: None }));
    assert_eq!(it.other, [&b"sigmask:\t1"[..], b"ino:\t5"]);
    assert_eq!(it.ino, Some(1039));
}

#[test]
fn locks_in_fdinfo() {
    let text = b"lock:\t1: FLOCK  ADVISORY  WRITE 10732 fe:00:10010652 0 EOF\n\
        lock:\t2: POSIX  ADVISORY  WRITE 10732 fe:00:10010652 3 7\n";
    let it = fdinfo::parse(&with(text)).unwrap();
    let kinds: Vec<_> = it.locks.iter().map(|lock| (lock.kind, lock.start, lock.end)).collect();
    assert_eq!(kinds, [(LockKind::Flock, 0, None), (LockKind::Posix, 3, Some(7))]);
}

#[test]
fn locks_of_all_sorts() {
    use LockKind::{Delegation, Flock, Lease, Ofd, Posix};
    use LockMode::{Read, Unlock, Write};
    use LockState::{Active, Advisory, Breaker, Breaking, Mandatory};
    let found = locks::parse(LOCKS).unwrap();
    let sorts: Vec<_> = found.iter().map(|it| (it.id, it.waiting, it.kind, it.state, it.mode)).collect();
    let expected = [
        (1, 0, Lease, Breaking, Unlock),
        (1, 1, Lease, Breaker, Write),
        (2, 0, Flock, Advisory, Write),
        (2, 1, Flock, Advisory, Read),
        (3, 0, Ofd, Advisory, Read),
        (4, 0, Posix, Advisory, Write),
        (4, 1, Posix, Advisory, Write),
        (4, 2, Posix, Advisory, Write),
        (5, 0, Delegation, Active, Read),
        (6, 0, Posix, Mandatory, Read),
        (7, 0, Lease, Active, Read),
    ];
    assert_eq!(sorts, expected);
    assert_eq!(found[1].file, None);
    assert_eq!((found[4].pid, found[4].start, found[4].end), (Pid::from_raw(-1), 100, None));
    assert_eq!(found[5].file, Some((0xfe, 0x1a, 10_010_652)));
    assert_eq!(found[7].end, Some(9_223_372_036_854_775_806));
}

#[test]
fn wrong_locks() {
    let wrong = |from: &str, to: &str| refused(locks::parse(&changed(LOCKS, from, to)));
    assert!(wrong("OFDLCK", "ODDLCK").starts_with("line 5: expected POSIX, OFDLCK, FLOCK, LEASE or DELEG"));
    assert!(wrong("BREAKING", "BROKEN").starts_with("line 1: expected ADVISORY, MANDATORY"));
    assert!(wrong("3 7\n", "3 7 9\n").starts_with("line 6: expected the end of the line"));
    assert!(wrong("3 7\n", "3\n").starts_with("line 6: expected the last byte of a lock, or EOF"));
    let lock: Result<Vec<Lock>, _> = locks::parse(b"");
    assert_eq!(lock, Ok(vec![]));
}
