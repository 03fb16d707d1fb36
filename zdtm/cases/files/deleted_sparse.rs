//! A deleted sparse file keeps its holes, at the start, in the middle and at the end, and takes no more room.
//@ dump-options: --ghost-limit 1G
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_files::stat;
use nix::unistd::{Whence, lseek};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

const MIB: u64 = 1 << 20;

pub fn run(gate: &mut Gate) -> Verdict {
    let path = gate.path("sparse");
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    for (at, byte) in [(100 * MIB, b'a'), (300 * MIB, b'b')] {
        file.write_all_at(&[byte; 8192], at)?;
    }
    file.set_len(512 * MIB)?;
    file.sync_all()?;
    fs::remove_file(&path)?;
    let blocks = stat(&file)?.st_blocks;
    gate.checkpoint()?;
    file.sync_all()?;
    check_eq("the size", stat(&file)?.st_size as u64, 512 * MIB)?;
    check(
        &format!("blocks: {} before, {} after", blocks, stat(&file)?.st_blocks),
        stat(&file)?.st_blocks <= blocks + 16,
    )?;
    let mut at = 0;
    for (want, byte) in [(100 * MIB, b'a'), (300 * MIB, b'b')] {
        at = lseek(&file, at, Whence::SeekData)?;
        check_eq("where data begin", at as u64, want)?;
        at = lseek(&file, at, Whence::SeekHole)?;
        check_eq("where data end", at as u64, want + 8192)?;
        let mut data = [0; 8192];
        file.read_exact_at(&mut data, want)?;
        check("the data", data.iter().all(|b| *b == byte))?;
    }
    check_eq("data in the last hole", lseek(&file, at, Whence::SeekData), Err(nix::errno::Errno::ENXIO))
}
