//! Packet mode (O_DIRECT): each write is still one packet, a short read drops the rest of one, and slots stay taken.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{flags, read_once, write_once};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, write};

pub fn run(gate: &mut Gate) -> Verdict {
    let (reader, writer) = pipe2(OFlag::O_DIRECT | OFlag::O_NONBLOCK)?;
    for size in [1usize, 10, 4096, 300, 1, 1, 50] {
        write_once(&writer, &vec![size as u8; size])?;
    }
    // A pipe full of packets of one byte each: sixteen are as many as there are slots.
    let tiny = pipe2(OFlag::O_DIRECT | OFlag::O_NONBLOCK)?;
    let mut count = 0;
    while write(&tiny.1, &[count as u8]).is_ok() {
        count += 1;
    }
    gate.checkpoint()?;
    check_eq("packet mode of the writing end", flags(&writer)? & libc::O_DIRECT, libc::O_DIRECT)?;
    for size in [1usize, 10, 4096] {
        check_eq("a packet", read_once(&reader, 8192)?, vec![size as u8; size])?;
    }
    check_eq("a short read of a packet", read_once(&reader, 100)?, vec![300usize as u8; 100])?;
    check_eq("the packet after it", read_once(&reader, 8192)?, vec![1])?;
    check_eq("and the next", read_once(&reader, 8192)?, vec![1])?;
    check_eq("and the next", read_once(&reader, 8192)?, vec![50; 50])?;
    check_eq("nothing more", read_once(&reader, 1), Err(Errno::EAGAIN))?;
    check_eq("one packet too many for the full pipe", write(&tiny.1, b"x"), Err(Errno::EAGAIN))?;
    for n in 0..count {
        check_eq("a tiny packet", read_once(&tiny.0, 100)?, vec![n as u8])?;
    }
    check_eq("nothing more", read_once(&tiny.0, 1), Err(Errno::EAGAIN))?;
    write_once(&writer, b"one")?;
    write_once(&writer, b"two")?;
    check_eq("a new packet", read_once(&reader, 100)?, b"one".to_vec())
}
