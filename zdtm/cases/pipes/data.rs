//! Bytes in flight stay in order: an empty pipe, a part of a page, several pages of which some was read, a full pipe.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_files::{flags, read_once, write_once};
use crate::tools_memory::mix;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, write};

/// `count` bytes, different for each seed.
fn bytes(seed: u64, count: usize) -> Vec<u8> {
    (0..count as u64).map(|i| mix(seed, i) as u8).collect()
}

pub fn run(gate: &mut Gate) -> Verdict {
    let make = || pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC);
    let (empty, part, more, full) = (make()?, make()?, make()?, make()?);
    write_once(&part.1, b"in flight")?;
    write_once(&more.1, &bytes(1, 20_000))?;
    check_eq("bytes read before", read_once(&more.0, 5_000)?, bytes(1, 5_000))?;
    let mut filled = Vec::new();
    while write(&full.1, &bytes(filled.len() as u64, 4096)).is_ok() {
        filled.extend(bytes(filled.len() as u64, 4096));
    }
    gate.checkpoint()?;
    check_eq("flags of an end", flags(&empty.0)? & libc::O_NONBLOCK, libc::O_NONBLOCK)?;
    check_eq("reading the empty pipe", read_once(&empty.0, 1), Err(Errno::EAGAIN))?;
    check_eq("reading part of a page", read_once(&part.0, 100)?, b"in flight".to_vec())?;
    check_eq("reading it again", read_once(&part.0, 1), Err(Errno::EAGAIN))?;
    check_eq("the rest of several pages", read_once(&more.0, 100_000)?, bytes(1, 20_000)[5_000..].to_vec())?;
    check_eq("writing to the full pipe", write(&full.1, b"x"), Err(Errno::EAGAIN))?;
    check("what the full pipe held", read_once(&full.0, 1 << 20)? == filled)?;
    write_once(&full.1, b"again")?;
    check_eq("after it was emptied", read_once(&full.0, 10)?, b"again".to_vec())
}
