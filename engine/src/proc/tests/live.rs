//! What this kernel says of the test itself.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{SigEvent, SigevNotify, Signal};
use nix::sys::signalfd::{SfdFlags, SigSet, SignalFd};
use nix::sys::stat::{major, minor};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
use nix::unistd::{Pid, SysconfVar, getpgid, getpid, getppid, getresuid, getsid, gettid, sysconf};

use crate::proc::fdinfo::{Body, kernel_dev};
use crate::proc::locks::{LockKind, LockMode};
use crate::proc::maps::Name;
use crate::proc::smaps::VmFlags;
use crate::proc::timers::{Notify, Target};
use crate::proc::{ProcDir, fdinfo, locks, maps, mountinfo, pagemap, smaps, stat, status, task, timers};

fn info(fd: RawFd) -> fdinfo::FdInfo {
    let thread = ProcDir::current().unwrap().thread(gettid()).unwrap();
    fdinfo::read(&thread, fd, &mut Vec::new()).unwrap()
}

fn page_size() -> u64 {
    sysconf(SysconfVar::PAGE_SIZE).unwrap().unwrap().try_into().unwrap()
}

#[test]
fn stat_and_status() {
    let (dir, mut buf) = (ProcDir::open(getpid()).unwrap(), Vec::new());
    let it = stat::read(&dir, &mut buf).unwrap();
    assert_eq!(
        (it.pid, it.ppid, it.pgrp, it.session),
        (getpid(), getppid(), getpgid(None).unwrap(), getsid(None).unwrap())
    );
    assert!(it.num_threads >= 1 && it.start_code < it.end_code && it.arg_start < it.arg_end);
    let it = status::read(&dir, &mut buf).unwrap();
    let uid = getresuid().unwrap();
    assert_eq!((it.ids.pid, it.ids.tgid, it.ids.ppid), (getpid(), getpid(), getppid()));
    assert_eq!(it.uid[..3], [uid.real.as_raw(), uid.effective.as_raw(), uid.saved.as_raw()]);
    assert_eq!((it.ns.pid.first(), it.core_dumping), (Some(&getpid()), Some(false)));
    assert!((0..4096).any(|cpu| it.may_run_on(cpu)));
}

#[test]
fn a_thread_with_a_wild_name() {
    let name = "\ta) R 1\n(\\b ";
    let check = move || {
        let (dir, mut buf) = (ProcDir::current().unwrap().thread(gettid()).unwrap(), Vec::new());
        let it = stat::read(&dir, &mut buf).unwrap();
        assert_eq!((it.comm.as_slice(), it.pid, it.exit_signal), (name.as_bytes(), gettid(), -1));
        let it = status::read(&dir, &mut buf).unwrap();
        assert_eq!((it.name.as_slice(), it.ids.pid, it.ids.tgid), (name.as_bytes(), gettid(), getpid()));
        assert!(task::threads(&ProcDir::current().unwrap()).unwrap().contains(&gettid()));
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(check).unwrap().join().unwrap();
}

#[test]
fn the_address_space() {
    let (dir, mut buf) = (ProcDir::current().unwrap(), Vec::new());
    let code = (getpid as fn() -> Pid) as usize;
    let found = maps::read(&dir, &mut buf).unwrap();
    assert!(found.is_sorted_by_key(|it| it.range));
    assert!(found.iter().any(|it| it.kind() == Name::Stack && it.prot.write));
    let exe = dir.readlink("exe").unwrap();
    let own = found.iter().find(|it| it.range.contains(code as u64)).unwrap();
    assert_eq!(own.file_path().as_deref(), Some(exe.as_slice()));
    assert!(own.prot.exec && own.inode != 0 && !own.shared);
    let areas = smaps::read(&dir, &mut buf).unwrap();
    let stack = areas.iter().find(|it| it.mapping.kind() == Name::Stack).unwrap();
    assert!(stack.flags.contains(VmFlags::GROWS_DOWN | VmFlags::READ | VmFlags::WRITE));
    assert!(stack.usage.rss > 0 && stack.usage.page_size > 0);
    for area in &areas {
        assert_eq!(area.unknown_flags, <[[u8; 2]; 0]>::default(), "{:?}", area.mapping);
        assert_eq!(area.flags.contains(VmFlags::READ), area.mapping.prot.read);
        assert_eq!(area.flags.contains(VmFlags::EXEC), area.mapping.prot.exec);
    }
}

#[test]
fn a_page_of_the_stack_is_present() {
    let here = 5u64;
    let page = std::ptr::from_ref(&here).addr() as u64 / page_size();
    let file = ProcDir::current().unwrap().open_file("pagemap").unwrap();
    let mut bytes = [0; 8];
    assert_eq!(nix::sys::uio::pread(&file, &mut bytes, (page * 8).try_into().unwrap()), Ok(8));
    let entry = pagemap::parse(&bytes).unwrap().next().unwrap();
    assert!(entry.is_present() && !entry.is_file() && !entry.is_guard(), "{entry:?} of {here}");
}

#[test]
fn descriptors_and_their_bodies() {
    let event = EventFd::from_value_and_flags(5, EfdFlags::EFD_SEMAPHORE).unwrap();
    let Body::Eventfd(it) = info(event.as_raw_fd()).body else { panic!("no eventfd") };
    assert_eq!((it.count, it.semaphore.unwrap_or(true)), (5, true));

    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
    assert_eq!(info(epoll.0.as_raw_fd()).body, Body::None);
    epoll.add(&event, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, u64::MAX)).unwrap();
    let Body::Epoll(targets) = info(epoll.0.as_raw_fd()).body else { panic!("no epoll") };
    let stat = nix::sys::stat::fstat(&event).unwrap();
    assert_eq!(
        (targets.len(), targets[0].fd, targets[0].data, targets[0].ino),
        (1, event.as_raw_fd(), u64::MAX, stat.st_ino)
    );
    assert_eq!(kernel_dev(targets[0].sdev), (major(stat.st_dev) as u32, minor(stat.st_dev) as u32));

    let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_CLOEXEC).unwrap();
    let Body::Timerfd(it) = info(std::os::fd::AsFd::as_fd(&timer).as_raw_fd()).body else { panic!("no timerfd") };
    assert_eq!((it.clock, it.value, it.interval), (libc::CLOCK_BOOTTIME, (0, 0), (0, 0)));

    let mut signals = SigSet::empty();
    signals.add(Signal::SIGUSR1);
    let signalfd = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC).unwrap();
    assert_eq!(info(signalfd.as_raw_fd()).body, Body::Signalfd(1 << (libc::SIGUSR1 - 1)));

    let open = task::descriptors(&ProcDir::current().unwrap()).unwrap();
    assert!(open.is_sorted() && open.contains(&event.as_raw_fd()) && open.contains(&signalfd.as_raw_fd()));
}

#[test]
fn a_flock_shows_in_both_files() {
    // A memfd: file systems of several layers show other devices in locks than in stat.
    let file = File::from(memfd_create(c"locked", MFdFlags::MFD_CLOEXEC).unwrap());
    let meta = file.metadata().unwrap();
    let held = Flock::lock(file, FlockArg::LockExclusive).unwrap();
    let it = info(held.as_raw_fd());
    assert_eq!(it.ino.unwrap_or(meta.ino()), meta.ino());
    let [lock] = it.locks.as_slice() else { panic!("not one lock: {:?}", it.locks) };
    assert_eq!((lock.kind, lock.mode, lock.pid, lock.end), (LockKind::Flock, LockMode::Write, getpid(), None));
    let file = Some((major(meta.dev()) as u32, minor(meta.dev()) as u32, meta.ino()));
    assert_eq!(lock.file, file);
    let all = locks::read(&ProcDir::root().unwrap(), &mut Vec::new()).unwrap();
    assert_eq!(all.iter().filter(|lock| lock.file == file && lock.waiting == 0).count(), 1);
}

#[test]
fn a_timer_of_a_thread() {
    let notify = SigevNotify::SigevThreadId { signal: Signal::SIGURG, thread_id: gettid().as_raw(), si_value: 0x1234 };
    let mut timer = Timer::new(nix::time::ClockId::CLOCK_MONOTONIC, SigEvent::new(notify)).unwrap();
    let hour = Expiration::OneShot(nix::sys::time::TimeSpec::new(3600, 0));
    timer.set(hour, TimerSetTimeFlags::empty()).unwrap();
    let found = timers::read(&ProcDir::current().unwrap(), &mut Vec::new()).unwrap();
    let it = found.iter().find(|it| it.value == 0x1234).unwrap();
    assert_eq!((it.signal, it.notify, it.clock), (libc::SIGURG, Notify::Signal, libc::CLOCK_MONOTONIC));
    assert_eq!(it.target, Target::Thread(gettid()));
}

#[test]
fn mounts() {
    let found = mountinfo::read(&ProcDir::current().unwrap(), &mut Vec::new()).unwrap();
    let proc = found.iter().find(|it| it.mountpoint == b"/proc").unwrap();
    assert_eq!((proc.fs_type.as_slice(), proc.root.as_slice()), (&b"proc"[..], &b"/"[..]));
    assert!(found.iter().all(|it| it.unknown.is_empty()));
}

#[test]
fn the_small_files() {
    let (dir, mut buf) = (ProcDir::current().unwrap(), Vec::new());
    let own = task::namespace(&dir, "pid").unwrap();
    assert_eq!((own.kind.as_slice(), own.inode), (&b"pid"[..], fs::metadata("/proc/self/ns/pid").unwrap().ino()));
    assert!(task::namespace_names(&dir).unwrap().iter().any(|name| name == "mnt"));
    assert!(task::cgroups(&dir, &mut buf).unwrap().iter().all(|it| it.path.starts_with(b"/")));
    let word = if size_of::<usize>() == 8 { task::Word::Eight } else { task::Word::Four };
    let auxv = task::auxv(&dir, word, &mut buf).unwrap();
    let pair = |kind: u64| auxv.chunks(2).find(|pair| pair[0] == kind).map(|pair| pair[1]);
    assert_eq!(pair(libc::AT_PAGESZ), Some(page_size()));
    assert_eq!(auxv[auxv.len() - 2..], [0, 0]);
    assert_eq!(task::personality(&dir, &mut buf).unwrap(), nix::sys::personality::get().unwrap().bits() as u32);
    assert!((-1000..=1000).contains(&task::oom_score_adj(&dir, &mut buf).unwrap()));
    assert!(task::timer_slack(&dir, &mut buf).unwrap() > 0);
    assert!(task::coredump_filter(&dir, &mut buf).unwrap().is_some());
    let arguments: Vec<Vec<u8>> = std::env::args().map(String::into_bytes).collect();
    assert_eq!(task::command_line(&dir, &mut buf).unwrap(), arguments);
    let login = fs::read_to_string("/proc/self/loginuid").ok().map(|text| text.trim().parse::<u32>().unwrap());
    assert_eq!(task::login_uid(&dir, &mut buf).ok(), login);
}

#[test]
fn children_of_a_thread() {
    let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_raw(child.id().cast_signed());
    let thread = ProcDir::current().unwrap().thread(gettid()).unwrap();
    let found = task::children(&thread, &mut Vec::new()).unwrap();
    drop(child.stdin.take());
    child.wait().unwrap();
    assert!(found.contains(&pid), "{found:?} lacks {pid}");
}
