//! A mapping remembers how its descriptor was opened: read-only shared memory cannot be made writable, the rest can.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_memory::{Area, NONE, R, RW, page};
use nix::errno::Errno;
use std::fs::{File, OpenOptions};

pub fn run(gate: &mut Gate) -> Verdict {
    let path = gate.path("mapped");
    std::fs::write(&path, vec![7u8; 4 * page()])?;
    let read_only = File::open(&path)?;
    let read_write = OpenOptions::new().read(true).write(true).open(&path)?;
    let shared_of_read_only = Area::file(2, R, libc::MAP_SHARED, &read_only, 0)?;
    let shared_of_read_write = Area::file(2, R, libc::MAP_SHARED, &read_write, 0)?;
    let private_of_read_only = Area::file(2, R, libc::MAP_PRIVATE, &read_only, 0)?;
    let hidden_of_read_only = Area::file(2, NONE, libc::MAP_SHARED, &read_only, 2)?;
    drop((read_only, read_write));
    gate.checkpoint()?;
    check_eq("making shared memory of a read-only file writable", shared_of_read_only.protect(RW), Err(Errno::EACCES))?;
    check_eq("the same under PROT_NONE", hidden_of_read_only.protect(RW), Err(Errno::EACCES))?;
    check_eq("making it readable", hidden_of_read_only.protect(R), Ok(()))?;
    check_eq("making shared memory of a writable file writable", shared_of_read_write.protect(RW), Ok(()))?;
    check_eq("making private memory of a read-only file writable", private_of_read_only.protect(RW), Ok(()))?;
    shared_of_read_write.set(0, 5);
    private_of_read_only.set(1, 6);
    let words = (shared_of_read_only.word(0), shared_of_read_only.word(1), private_of_read_only.word(1));
    check_eq("the words", words, (5, 0x0707_0707_0707_0707, 6))
}
