//! Registered buffers, an empty slot among them, are registered again for the same memory.
//@ needs: [kernel:io_uring]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_memory::{Area, page};
use crate::tools_uring::{BUFFERS, READ_FIXED, Request, Ring, WRITE_FIXED, transfer};
use std::fs::OpenOptions;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(gate.path("file"))?;
    let area = Area::private(8)?;
    area.fill(3);
    let mut ring = Ring::new(8)?;
    let whole = [area.at(0) as u64, 4 * page() as u64, 0, 0, area.at(6) as u64 + 100, 1000];
    ring.register(BUFFERS, &whole, 3)?;
    let fixed =
        |opcode, buffer, address, length| Request { buffer, ..transfer(opcode, file.as_raw_fd(), address, length, 0) };
    gate.checkpoint()?;
    let size = 3 * page() as u32;
    check_eq("a write", ring.result(fixed(WRITE_FIXED, 0, area.at(1), size))?, size as i32)?;
    area.check_fill("the memory", 3)?;
    check_eq("a write from outside", ring.result(fixed(WRITE_FIXED, 0, area.at(4), 8))?, -libc::EFAULT)?;
    check_eq("a write from no buffer", ring.result(fixed(WRITE_FIXED, 1, area.at(1), 8))?, -libc::EFAULT)?;
    check_eq("a read", ring.result(fixed(READ_FIXED, 2, area.at(6) + 100, 1000))?, 1000)?;
    // SAFETY: both ranges are in the area.
    let (from, to) = unsafe {
        let bytes = |at: usize| std::slice::from_raw_parts(at as *const u8, 1000).to_vec();
        (bytes(area.at(1)), bytes(area.at(6) + 100))
    };
    check_eq("what was read", to, from)
}
