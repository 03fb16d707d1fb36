//! A deleted file on another file system (tmpfs) keeps its data, opened and mapped.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{read_once, stat, write_once};
use crate::tools_memory::{Area, RW, page};
use nix::unistd::{Whence, lseek};
use std::fs::{self, File};

pub fn run(gate: &mut Gate) -> Verdict {
    // Random bytes (auxv(3), AT_RANDOM) make the name unique: the scratch directory lies on another file system.
    // SAFETY: the kernel gives the address of sixteen bytes.
    let random = unsafe { (libc::getauxval(libc::AT_RANDOM) as *const u64).read_unaligned() };
    let path = std::path::PathBuf::from(format!("/dev/shm/zdtm-{random:x}"));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    write_once(&file, &vec![b'm'; 2 * page()])?;
    let area = Area::file(2, RW, libc::MAP_SHARED, &file, 0)?;
    let device = stat(&file)?.st_dev;
    gate.checkpoint()?;
    check_eq(
        "device, links and size",
        {
            let now = stat(&file)?;
            (now.st_dev, now.st_nlink, now.st_size)
        },
        (device, 0, 2 * page() as i64),
    )?;
    check_eq("what is mapped", area.word(1), u64::from_ne_bytes([b'm'; 8]))?;
    area.set(0, u64::from_ne_bytes(*b"written!"));
    lseek(&file, 0, Whence::SeekSet)?;
    check_eq("what is read", read_once(&file, 10)?, b"written!mm".to_vec())
}
