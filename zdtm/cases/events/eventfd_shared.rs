//! One eventfd in three processes, with dups, stays one counter; another made alike stays another.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{fcntl, same_description};
use crate::tools_relatives::{arrive, await_word, shared_word};
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::os::fd::{AsFd, AsRawFd};

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let common = EventFd::from_flags(EfdFlags::EFD_NONBLOCK)?;
    let other = EventFd::from_flags(EfdFlags::EFD_NONBLOCK)?;
    common.write(1)?;
    other.write(100)?;
    let children = (0..2).map(|n| {
        gate.fork(|gate| {
            let twin = fcntl(&common.as_fd(), libc::F_DUPFD, 40 + n)?;
            arrive(word);
            gate.wait();
            check_eq("the dup's flags", fcntl(&twin, libc::F_GETFL, 0)? & libc::O_NONBLOCK, libc::O_NONBLOCK)?;
            common.write(10)?;
            arrive(word);
            await_word(word, 5)
        })
    });
    let children = children.collect::<Verdict<Vec<_>>>()?;
    await_word(word, 2)?;
    gate.checkpoint()?;
    await_word(word, 4)?;
    check_eq("the common counter", common.read(), Ok(21))?;
    check_eq("and again", common.read(), Err(Errno::EAGAIN))?;
    check_eq("the other counter", other.read(), Ok(100))?;
    check_eq("one description", same_description(&common, children[1], 41)?, true)?;
    check_eq("the other is not", same_description(&common, children[0], other.as_raw_fd())?, false)?;
    arrive(word);
    children.into_iter().try_for_each(wait_ok)
}
