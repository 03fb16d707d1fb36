//! A memory file sealed against future writing keeps the mapping that may write; one sealed against writing keeps those
//! that only read, and they cannot become writable.
//@ needs: [kernel:6.7]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_memfd::{FUTURE_WRITE, again, error_of, memfd, seal, seals};
use crate::tools_memory::{Area, R, RW, page};
use nix::errno::Errno;
use std::os::unix::fs::FileExt;

pub fn run(gate: &mut Gate) -> Verdict {
    let made = |name: &[u8]| -> Verdict<_> {
        let file = memfd(name, libc::MFD_ALLOW_SEALING)?;
        file.set_len(2 * page() as u64)?;
        Ok(file)
    };
    let (future, fixed) = (made(b"future")?, made(b"fixed")?);
    let writable = Area::file(2, RW, libc::MAP_SHARED, &future, 0)?;
    writable.fill(1);
    fixed.write_all_at(b"constant", 0)?;
    seal(&future, FUTURE_WRITE)?;
    seal(&fixed, libc::F_SEAL_WRITE)?;
    let readers =
        [Area::file(2, R, libc::MAP_SHARED, &again(&future, 0)?, 0)?, Area::file(2, R, libc::MAP_SHARED, &fixed, 0)?];
    let private = Area::file(2, RW, libc::MAP_PRIVATE, &fixed, 0)?;
    private.set(1, 5);
    gate.checkpoint()?;
    check_eq("the seals", (seals(&future)?, seals(&fixed)?), (FUTURE_WRITE, libc::F_SEAL_WRITE))?;
    writable.check_fill("the mapping that may write", 1)?;
    writable.set(1, 9);
    for (reader, first) in readers.into_iter().zip([writable.word(0), u64::from_ne_bytes(*b"constant")]) {
        check_eq("a mapping for reading", reader.word(0), first)?;
        check_eq("making it writable", reader.protect(RW), Err(Errno::EACCES))?;
    }
    for file in [&future, &fixed] {
        check_eq("writing", error_of(file.write_at(b"x", 0)), Some(libc::EPERM))?;
        check_eq("another writer", Area::file(1, RW, libc::MAP_SHARED, file, 0).is_err(), true)?;
    }
    check_eq("the private copy", (private.word(0), private.word(1)), (u64::from_ne_bytes(*b"constant"), 5))
}
