//! Secret memory (memfd_secret) is refused by name; only the process itself sees its data.
//@ dump-fails: "/secretmem"
//@ needs: [kernel:secretmem]
use crate::gate::{Gate, Verdict};
use crate::tools_files::owned;
use crate::tools_memory::{Area, RW, page};

pub fn run(gate: &mut Gate) -> Verdict {
    // SAFETY: integers only.
    let file = owned(unsafe { libc::syscall(libc::SYS_memfd_secret, 0) })?;
    nix::unistd::ftruncate(&file, 2 * page() as i64)?;
    let area = Area::file(2, RW, libc::MAP_SHARED, &file, 0)?;
    area.fill(1);
    gate.checkpoint()?;
    area.check_fill("the secret", 1)
}
