//! O_PATH descriptors of a file, a directory, a symbolic link and a fifo stay what they are, and stay unreadable.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{flags, read_once, stat, target};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, readlinkat};
use nix::sys::stat::Mode;
use std::fs;

pub fn run(gate: &mut Gate) -> Verdict {
    fs::create_dir(gate.path("directory"))?;
    fs::write(gate.path("directory/file"), b"data")?;
    std::os::unix::fs::symlink("directory/file", gate.path("link"))?;
    nix::unistd::mkfifo(&gate.path("fifo"), Mode::from_bits_truncate(0o600))?;
    let get = |name: &str, more: OFlag| open(&gate.path(name), OFlag::O_PATH | more, Mode::empty());
    let file = get("directory/file", OFlag::O_CLOEXEC)?;
    let directory = get("directory", OFlag::O_DIRECTORY)?;
    let link = get("link", OFlag::O_NOFOLLOW)?;
    let fifo = get("fifo", OFlag::empty())?;
    let all = [(&file, libc::S_IFREG), (&directory, libc::S_IFDIR), (&link, libc::S_IFLNK), (&fifo, libc::S_IFIFO)];
    let before: Vec<_> = all.iter().map(|(fd, _)| Ok((flags(*fd)?, target(*fd)?))).collect::<Verdict<_>>()?;
    gate.checkpoint()?;
    for ((fd, kind), (flag, path)) in all.iter().zip(&before) {
        check_eq("the kind of file", stat(*fd)?.st_mode & libc::S_IFMT, *kind)?;
        check_eq("the flags", flags(*fd)?, *flag)?;
        check_eq("the path", &target(*fd)?, path)?;
        check_eq("reading", read_once(*fd, 1), Err(Errno::EBADF))?;
    }
    check_eq("the link's text", readlinkat(&link, "")?.to_string_lossy().into_owned(), "directory/file".to_owned())?;
    let below = openat(&directory, "file", OFlag::O_RDONLY, Mode::empty())?;
    check_eq("a file below the directory", read_once(&below, 10)?, b"data".to_vec())?;
    check_eq(
        "a file through its O_PATH descriptor",
        fs::read(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file)))?,
        b"data".to_vec(),
    )
}
