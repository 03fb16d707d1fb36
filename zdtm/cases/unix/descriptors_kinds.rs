//! Files of every sort that only a queue holds: eventfd, timer, signal and process descriptors, a memory file, an epoll
//! set with what it watches, inotify, a fifo, a directory, a deleted file, and a listener with the client that waits.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_events::{epoll, pidfd, ready, set_timer, signal, timer_state, timerfd, watch};
use crate::tools_files::{read_once, target, write_once};
use crate::tools_unix::{accept, at, client, listener, pair, receive, send, talk};
use crate::tools_watch::{add, inotify};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::SockType;
use nix::sys::stat::Mode;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

pub fn run(gate: &mut Gate) -> Verdict {
    let (one, two) = pair(SockType::SeqPacket)?;
    let child = gate.fork(|_| {
        loop {
            nix::unistd::pause();
        }
    })?;
    let usr1 = SigSet::from(Signal::SIGUSR1);
    usr1.thread_block()?;
    put_events(&one, &usr1, child)?;
    put_files(gate, &one)?;
    gate.checkpoint()?;
    check_events(&two, child)?;
    check_files(gate, &two)
}

fn put_events(queue: &OwnedFd, mask: &SigSet, child: nix::unistd::Pid) -> Verdict {
    let counter = EventFd::from_value_and_flags(7, EfdFlags::EFD_SEMAPHORE)?;
    let timer = timerfd(libc::CLOCK_MONOTONIC, 0)?;
    set_timer(&timer, 0, HOUR, Duration::ZERO)?;
    let signals = SignalFd::with_flags(mask, SfdFlags::SFD_NONBLOCK)?;
    let set = epoll()?;
    watch(&set, counter.as_raw_fd(), libc::EPOLLIN, 11)?;
    watch(&set, timer.as_raw_fd(), libc::EPOLLIN, 12)?;
    send(queue, b"events", &[&counter, &timer, &signals, &set, &pidfd(child, 0)?], None)
}

fn check_events(queue: &OwnedFd, child: nix::unistd::Pid) -> Verdict {
    let got = receive(queue, 100)?.rights;
    let [counter, timer, signals, set, process] = &got[..] else { return check("five descriptors came", false) };
    check_eq("what the set reports", ready(set)?, vec![(libc::EPOLLIN, 11)])?;
    check_eq("the semaphore", read_once(counter, 8)?, 1u64.to_ne_bytes().to_vec())?;
    let left = timer_state(timer)?.0;
    check("the timer runs", left <= HOUR && left > HOUR / 2)?;
    nix::sys::signal::raise(Signal::SIGUSR1)?;
    check_eq("the signal", read_once(signals, 128)?[..4].to_vec(), libc::SIGUSR1.to_ne_bytes().to_vec())?;
    signal(process, libc::SIGKILL)?;
    let ended = nix::sys::wait::waitpid(child, None)?;
    check_eq("how the child ends", ended, nix::sys::wait::WaitStatus::Signaled(child, Signal::SIGKILL, false))
}

fn put_files(gate: &Gate, queue: &OwnedFd) -> Verdict {
    let memory = nix::sys::memfd::memfd_create(c"queued", nix::sys::memfd::MFdFlags::empty())?;
    write_once(&memory, b"contents")?;
    std::fs::write(gate.path("watched"), b"")?;
    let changes = inotify()?;
    add(&changes, &gate.path("watched"), libc::IN_ATTRIB)?;
    nix::unistd::mkfifo(&gate.path("fifo"), Mode::from_bits_truncate(0o600))?;
    let fifo = File::options().read(true).write(true).open(gate.path("fifo"))?;
    write_once(&fifo, b"in the fifo")?;
    let dir = File::open(gate.dir())?;
    std::fs::write(gate.path("gone"), b"of the deleted")?;
    let gone = File::open(gate.path("gone"))?;
    std::fs::remove_file(gate.path("gone"))?;
    let here = at(&gate.path("socket"));
    let server = listener(SockType::Stream, &here)?;
    let waiting = client(SockType::Stream, &here)?;
    send(queue, b"files", &[&memory, &changes, &fifo, &dir, &gone, &server, &waiting], None)
}

fn check_files(gate: &Gate, queue: &OwnedFd) -> Verdict {
    let got = receive(queue, 100)?.rights;
    let [memory, changes, fifo, dir, gone, server, waiting] = &got[..] else {
        return check("seven descriptors came", false);
    };
    nix::unistd::lseek(memory, 0, nix::unistd::Whence::SeekSet)?;
    check_eq("the memory file", read_once(memory, 100)?, b"contents".to_vec())?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
    std::fs::set_permissions(gate.path("watched"), mode)?;
    check_eq("the event", read_once(changes, 100)?[4..8].to_vec(), libc::IN_ATTRIB.to_ne_bytes().to_vec())?;
    check_eq("the fifo", read_once(fifo, 100)?, b"in the fifo".to_vec())?;
    check_eq("the directory", target(dir)?.as_path(), gate.dir())?;
    check_eq("the deleted file", read_once(gone, 100)?, b"of the deleted".to_vec())?;
    talk(waiting, &accept(server)?)
}
