//! POSIX shared memory (a file in /dev/shm), with its name and without: mapped and through its descriptor.
//@ flavours: [host, ns]
//@ routes: [once, thrice, kill-engine]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::owned;
use crate::tools_memory::{Area, page};
use nix::errno::Errno;
use std::ffi::CString;
use std::fs::File;
use std::os::unix::fs::FileExt;

pub fn run(gate: &mut Gate) -> Verdict {
    let mut kept = Vec::new();
    for unlinked in [false, true] {
        let name = CString::new(format!("/zdtm-{}-{unlinked}", gate.dir().display()).replace(['/', '.'], "-"))?;
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
        // SAFETY: the name outlives the call.
        let file = File::from(owned(unsafe { libc::shm_open(name.as_ptr(), flags, 0o600) }.into())?);
        file.set_len(2 * page() as u64)?;
        let area = Area::file(2, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, &file, 0)?;
        area.fill(9);
        if unlinked {
            // SAFETY: the name outlives the call.
            Errno::result(unsafe { libc::shm_unlink(name.as_ptr()) })?;
        }
        kept.push((name, file, area));
    }
    gate.checkpoint()?;
    for (number, (name, file, area)) in kept.iter().enumerate() {
        area.check_fill("the memory", 9)?;
        area.set(1, 0x77);
        let mut byte = [0];
        file.read_exact_at(&mut byte, page() as u64)?;
        check_eq("a byte through the descriptor", byte[0], if cfg!(target_endian = "little") { 0x77 } else { 0 })?;
        // SAFETY: the name outlives the call.
        let removed = Errno::result(unsafe { libc::shm_unlink(name.as_ptr()) });
        check_eq("whether it had a name", removed.is_ok(), number == 0)?;
    }
    Ok(())
}
