//! A pair whose ends two tasks have, one of them twice: descriptors share sockets as they did, and the tasks talk.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{close_in_child, fcntl, flags, read_once, same_description, write_once};
use crate::tools_relatives::{arrive, await_word, shared_word};
use crate::tools_unix::pair;
use nix::sys::socket::SockType;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let (one, two) = pair(SockType::Stream)?;
    fcntl(&one, libc::F_SETFL, libc::O_NONBLOCK)?;
    let child = gate.fork(|gate| {
        close_in_child(&one);
        arrive(word);
        gate.wait();
        await_word(word, 2)?;
        let got = read_once(&two, 100)?;
        check_eq("what the parent sent", got, b"from the parent".to_vec())?;
        write_once(&two, b"from the child")
    })?;
    let copy = one.try_clone()?;
    await_word(word, 1)?;
    gate.checkpoint()?;
    check("the copy is the same socket", same_description(&one, nix::unistd::getpid(), copy.as_raw_fd())?)?;
    check("the child has the other end", same_description(&two, child, two.as_raw_fd())?)?;
    check_eq("its flags", flags(&copy)? & libc::O_NONBLOCK, libc::O_NONBLOCK)?;
    write_once(&one, b"from the parent")?;
    arrive(word);
    wait_ok(child)?;
    drop(two);
    check_eq("what the child sent", read_once(&copy, 100)?, b"from the child".to_vec())?;
    check_eq("the end", read_once(&copy, 100)?, Vec::new())
}
