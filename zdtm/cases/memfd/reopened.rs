//! Open file descriptions of one memory file (for reading, writing, appending, by O_PATH) stay several, of one file.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_files::{flags, position, read_once, same_description, stat, write_once};
use crate::tools_memfd::{again, check_content, error_of, filled};
use nix::errno::Errno;
use nix::unistd::{Whence, getpid, lseek};
use std::fs::File;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let first = filled(b"shared", b"0123456789")?;
    let copy = first.try_clone()?;
    let modes = [
        libc::O_RDONLY,
        libc::O_WRONLY | libc::O_APPEND,
        libc::O_RDWR,
        libc::O_RDWR | libc::O_SYNC | libc::O_NONBLOCK,
        libc::O_PATH,
    ];
    let others = modes.iter().map(|mode| again(&first, *mode)).collect::<Result<Vec<_>, _>>()?;
    let seek = |fd: &_, to| lseek(fd, to, Whence::SeekSet);
    seek(&others[0], 3)?;
    seek(&others[2], 5)?;
    let shown: Vec<i32> = others.iter().map(flags).collect::<Result<_, _>>()?;
    gate.checkpoint()?;
    check_eq("the flags", others.iter().map(flags).collect::<Result<Vec<_>, _>>()?, shown)?;
    for (n, other) in others.iter().enumerate() {
        check(&format!("description {n} is another"), !same_description(&first, getpid(), other.as_raw_fd())?)?;
        check_eq("the inode", stat(other)?.st_ino, stat(&first)?.st_ino)?;
    }
    check("the copy is the same", same_description(&first, getpid(), copy.as_raw_fd())?)?;
    check_eq("positions", (position(&first)?, position(&others[0])?, position(&others[2])?), (0, 3, 5))?;
    check_eq("reading from the third byte", read_once(&others[0], 2)?, b"34".to_vec())?;
    check_eq("writing what is for reading", nix::unistd::write(&others[0], b"x"), Err(Errno::EBADF))?;
    check_eq("reading what is for writing", read_once(&others[1], 1), Err(Errno::EBADF))?;
    check_eq("reading by a path", read_once(&others[4], 1), Err(Errno::EBADF))?;
    write_once(&others[1], b"+")?;
    write_once(&others[2], b"X")?;
    check_content("the content", &first, b"01234X6789+")?;
    let by_path = File::from(again(&others[4], libc::O_RDONLY)?);
    check_content("opened by the path", &by_path, b"01234X6789+")?;
    check_eq(
        "through the one for reading",
        error_of(File::from(again(&others[0], libc::O_RDONLY)?).set_len(1)),
        Some(libc::EINVAL),
    )
}
