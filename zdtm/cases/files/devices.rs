//! The devices null, zero, full, random and urandom are still themselves, with access modes and flags.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_files::{flags, read_once, stat};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::write;
use std::os::fd::OwnedFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let get = |name: &str, flag: OFlag| open(format!("/dev/{name}").as_str(), flag, Mode::empty());
    let all: [OwnedFd; 5] = [
        get("null", OFlag::O_RDWR | OFlag::O_APPEND)?,
        get("zero", OFlag::O_RDWR)?,
        get("full", OFlag::O_WRONLY)?,
        get("random", OFlag::O_RDONLY | OFlag::O_NONBLOCK)?,
        get("urandom", OFlag::O_RDONLY | OFlag::O_CLOEXEC)?,
    ];
    let look = || all.iter().map(|fd| Ok((flags(fd)?, stat(fd)?.st_rdev))).collect::<Result<Vec<_>, Errno>>();
    let before = look()?;
    gate.checkpoint()?;
    check_eq("flags and devices", look()?, before)?;
    let [null, zero, full, random, urandom] = &all;
    check_eq("reading null", read_once(null, 9)?, vec![])?;
    check_eq("writing null", write(null, b"123"), Ok(3))?;
    check_eq("reading zero", read_once(zero, 4)?, vec![0; 4])?;
    check_eq("writing full", write(full, b"123"), Err(Errno::ENOSPC))?;
    check_eq("reading full without permission", read_once(full, 1), Err(Errno::EBADF))?;
    let (one, two) = (read_once(random, 32)?, read_once(urandom, 32)?);
    check("both random devices give bytes that differ", one.len() == 32 && two.len() == 32 && one != two)
}
