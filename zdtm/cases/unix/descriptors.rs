//! Descriptors under way in queues of each type: an open file with its position that nobody else has, one that is open
//! here too, both ends of a pipe. In a stream they come with the byte that they were sent with, not before.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_files::{position, read_once, same_description, write_once};
use crate::tools_unix::{TYPES, is_empty, pair, receive, send};
use nix::sys::socket::SockType;
use nix::unistd::{getpid, pipe};
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    std::fs::write(gate.path("file"), b"0123456789")?;
    let kept = std::fs::File::open(gate.path("file"))?;
    let mut pairs = Vec::new();
    for kind in TYPES {
        let (one, two) = pair(kind)?;
        let lone = std::fs::File::open(gate.path("file"))?;
        read_once(&lone, 4)?;
        let (out, into) = pipe()?;
        write_once(&into, b"in the pipe")?;
        send(&one, b"before", &[], None)?;
        send(&one, b"files", &[&lone, &kept], None)?;
        send(&one, b"pipe", &[&out, &into], None)?;
        send(&one, b"after", &[], None)?;
        pairs.push((kind, one, two));
    }
    gate.checkpoint()?;
    for (kind, one, two) in &pairs {
        check_eq("what came before", receive(two, 6)?.rights.len(), 0)?;
        let got = receive(two, if *kind == SockType::Stream { 2 } else { 100 })?;
        check_eq("descriptors of files", got.rights.len(), 2)?;
        check_eq("the position of the lone one", position(&got.rights[0])?, 4)?;
        check_eq("what is read of it", read_once(&got.rights[0], 100)?, b"456789".to_vec())?;
        check("the other is the one here", same_description(&kept, getpid(), got.rights[1].as_raw_fd())?)?;
        let mut got = receive(two, 100)?;
        if *kind == SockType::Stream {
            check_eq("the rest and the pipe", got.bytes.as_slice(), &b"lespipe"[..])?;
        }
        check_eq("ends of the pipe", got.rights.len(), 2)?;
        check_eq("what is in it", read_once(&got.rights[0], 100)?, b"in the pipe".to_vec())?;
        got.rights.truncate(1);
        check_eq("the end of the pipe", read_once(&got.rights[0], 100)?, Vec::new())?;
        let last = receive(two, 100)?;
        check_eq("what came after", (last.bytes, last.rights.len()), (b"after".to_vec(), 0))?;
        is_empty(two)?;
        is_empty(one)?;
    }
    Ok(())
}
