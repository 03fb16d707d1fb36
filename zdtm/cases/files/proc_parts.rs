//! Open files of /proc about a thread, a descriptor, a mapping: shared by processes, read on, by path only.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{fcntl, position, read_once, same_description, target};
use crate::tools_memory::{Area, page};
use crate::tools_relatives::{arrive, await_word, shared_word};
use crate::tools_tasks::{Word, gettid};
use crate::tools_threads::{join, spawn};
use nix::fcntl::{OFlag, open, openat, readlinkat};
use nix::sys::stat::Mode;
use nix::unistd::{Whence, dup2, getpid, lseek};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::mpsc::channel;

/// A number far above those that are taken.
const FAR: i32 = 300;

fn text(file: &OwnedFd) -> Verdict<String> {
    lseek(file, 0, Whence::SeekSet)?;
    Ok(String::from_utf8_lossy(&read_once(file, 1 << 14)?).into_owned())
}

/// The line of a file of fdinfo that says the flags.
fn flags_in(info: &OwnedFd) -> Verdict<Option<String>> {
    Ok(text(info)?.lines().find(|line| line.starts_with("flags:")).map(str::to_owned))
}

pub fn run(gate: &mut Gate) -> Verdict {
    static GO: Word = Word::new();
    let word = shared_word()?;
    let me = getpid();
    let shared = File::options().read(true).write(true).create_new(true).open(gate.path("shared"))?;
    shared.set_len(3 * page() as u64)?;
    let area = Area::file(3, libc::PROT_READ, libc::MAP_SHARED, &shared, 0)?;
    let mapping = format!("/proc/self/map_files/{:x}-{:x}", area.at(0), area.at(3));
    let (send, receive) = channel();
    let thread = spawn(move || {
        let told = send.send((gettid(), File::open("/proc/thread-self/stat")));
        GO.wait_for(1);
        told.is_ok()
    })?;
    let (tid, own) = receive.recv()?;
    let own = OwnedFd::from(own?);
    let get = |path: &str| open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty());
    let by_path = |path: &str| open(path, OFlag::O_PATH | OFlag::O_NOFOLLOW, Mode::empty());
    let log = File::options().append(true).create(true).open(gate.path("log"))?;
    let thread_dir = get(&format!("/proc/{me}/task/{tid}"))?;
    let of_tid = get(&format!("/proc/{tid}/status"))?;
    let info = get(&format!("/proc/self/fdinfo/{}", log.as_raw_fd()))?;
    let link = by_path(&format!("/proc/self/fd/{}", log.as_raw_fd()))?;
    let mapping = by_path(&mapping)?;
    // A descriptor that tells of itself: it takes the number whose file it shows.
    let mut itself = get("/dev/null")?;
    dup2(&get(&format!("/proc/self/fdinfo/{}", itself.as_raw_fd()))?, &mut itself)?;
    let far = fcntl(&itself, libc::F_DUPFD, FAR)?;
    let shown = (flags_in(&info)?, flags_in(&itself)?);
    read_once(&of_tid, 5)?;
    let child = gate.fork(|gate| {
        arrive(word);
        gate.wait();
        await_word(word, 2)
    })?;
    await_word(word, 1)?;
    let all = [&own, &thread_dir, &of_tid, &info, &link, &mapping, &itself];
    let before: Vec<_> =
        all.iter().map(|fd| Ok((target(*fd)?, fcntl(*fd, libc::F_GETFD, 0)?))).collect::<Verdict<_>>()?;
    gate.checkpoint()?;
    let now: Vec<_> = all.iter().map(|fd| Ok((target(*fd)?, fcntl(*fd, libc::F_GETFD, 0)?))).collect::<Verdict<_>>()?;
    check_eq("paths and flags of the descriptors", now, before)?;
    for fd in all {
        check("the child has the same file", same_description(fd, child, fd.as_raw_fd())?)?;
    }
    check("the copy far away", same_description(&itself, me, far)?)?;
    check_eq("the position", position(&of_tid)?, 5)?;
    check("the thread's stat", text(&own)?.starts_with(&format!("{tid} (")))?;
    check("the status by the thread's id", text(&of_tid)?.contains(&format!("\nPid:\t{tid}\n")))?;
    let stat = openat(&thread_dir, "stat", OFlag::O_RDONLY, Mode::empty())?;
    check("below the thread's directory", text(&stat)?.starts_with(&format!("{tid} (")))?;
    check_eq("flags in fdinfo", (flags_in(&info)?, flags_in(&itself)?), shown)?;
    check_eq("where the link leads", readlinkat(&link, "")?, gate.path("log").into_os_string())?;
    check_eq("what the mapping is of", readlinkat(&mapping, "")?, gate.path("shared").into_os_string())?;
    arrive(word);
    wait_ok(child)?;
    GO.set(1);
    check("the thread", join(thread)?)
}
