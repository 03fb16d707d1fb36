//! A pipe keeps the capacity it was given, smaller or larger than the usual, with data beyond the usual in it.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_files::{fcntl, read_once, write_once};
use crate::tools_memory::page;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, write};

pub fn run(gate: &mut Gate) -> Verdict {
    let (small, large, usual) = (pipe2(OFlag::O_NONBLOCK)?, pipe2(OFlag::O_NONBLOCK)?, pipe2(OFlag::O_NONBLOCK)?);
    let size = |fd: &std::os::fd::OwnedFd| fcntl(fd, libc::F_GETPIPE_SZ, 0);
    fcntl(&small.1, libc::F_SETPIPE_SZ, page() as i32)?;
    fcntl(&large.0, libc::F_SETPIPE_SZ, 1 << 20)?;
    let data: Vec<u8> = (0..600_000u32).map(|i| (i / 7) as u8).collect();
    write_once(&large.1, &data)?;
    write_once(&small.1, &vec![b's'; page() - 10])?;
    let before = (size(&small.0)?, size(&large.0)?, size(&usual.0)?);
    check_eq("the capacities set", (before.0, before.1), (page() as i32, 1 << 20))?;
    gate.checkpoint()?;
    check_eq("the capacities", (size(&small.0)?, size(&large.0)?, size(&usual.0)?), before)?;
    check_eq("room left in the small pipe", write(&small.1, &[b't'; 100]), Err(Errno::EAGAIN))?;
    check_eq("room for ten bytes in it", write(&small.1, &[b't'; 10]), Ok(10))?;
    check_eq("what the small pipe holds", read_once(&small.0, 2 * page())?.len(), page())?;
    check_eq("shrinking below the data", fcntl(&large.0, libc::F_SETPIPE_SZ, page() as i32), Err(Errno::EBUSY))?;
    let mut got = Vec::new();
    while let Ok(more) = read_once(&large.0, 1 << 20) {
        got.extend(more);
    }
    check("what the large pipe holds", got == data)
}
