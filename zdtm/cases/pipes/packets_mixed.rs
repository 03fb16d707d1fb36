//! A stream behind a packet in one pipe: a short read drops the packet's rest, not the stream's.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{fcntl, flags, read_once, write_once};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

pub fn run(gate: &mut Gate) -> Verdict {
    let (reader, writer) = pipe2(OFlag::O_DIRECT | OFlag::O_NONBLOCK)?;
    write_once(&writer, b"packet")?;
    fcntl(&writer, libc::F_SETFL, libc::O_NONBLOCK)?;
    write_once(&writer, b"str")?;
    write_once(&writer, b"eam")?;
    // The kernel adds to a page in use, also in packet mode: this becomes part of the stream.
    fcntl(&writer, libc::F_SETFL, libc::O_NONBLOCK | libc::O_DIRECT)?;
    write_once(&writer, b"last")?;
    gate.checkpoint()?;
    check_eq("packet mode", flags(&writer)? & libc::O_DIRECT, libc::O_DIRECT)?;
    check_eq("a short read of the packet", read_once(&reader, 2)?, b"pa".to_vec())?;
    check_eq("a short read of the stream", read_once(&reader, 4)?, b"stre".to_vec())?;
    check_eq("the rest", read_once(&reader, 100)?, b"amlast".to_vec())?;
    check_eq("nothing more", read_once(&reader, 1), Err(Errno::EAGAIN))
}
