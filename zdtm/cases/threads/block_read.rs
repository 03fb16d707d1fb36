//! A thread blocked in a read of an empty pipe, and one in a scattered read, get what is written after the restore.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_tasks::outcome;
use crate::tools_threads::Call;
use std::io::{PipeReader, PipeWriter, Write as _, pipe};
use std::os::fd::AsRawFd as _;

fn read(from: &PipeReader) -> (i64, i32, [u8; 8]) {
    let mut data = [0; 8];
    // SAFETY: the buffer is valid for its length.
    let (got, errno) = outcome(unsafe { libc::read(from.as_raw_fd(), data.as_mut_ptr().cast(), 8) } as i64);
    (got, errno, data)
}

fn readv(from: &PipeReader) -> (i64, i32, [u8; 8]) {
    let mut data = [0; 8];
    let (low, high) = data.split_at_mut(3);
    let parts = [low, high].map(|p| libc::iovec { iov_base: p.as_mut_ptr().cast(), iov_len: p.len() });
    // SAFETY: both parts are valid for their lengths.
    let (got, errno) = outcome(unsafe { libc::readv(from.as_raw_fd(), parts.as_ptr(), 2) } as i64);
    (got, errno, data)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let (reader, mut writer): (PipeReader, PipeWriter) = pipe()?;
    let (scattered, mut scattered_writer) = pipe()?;
    let plain = Call::start(libc::SYS_read, move || read(&reader))?;
    let vector = Call::start(libc::SYS_readv, move || readv(&scattered))?;
    gate.checkpoint()?;
    plain.still()?;
    vector.still()?;
    writer.write_all(b"hello")?;
    scattered_writer.write_all(b"scatter")?;
    check_eq("the read", plain.result()?, (5, 0, *b"hello\0\0\0"))?;
    check_eq("the scattered read", vector.result()?, (7, 0, *b"scatter\0"))
}
