//! A sealed area (mseal) keeps its data and its seal: no unmapping, no new protection, no moving.
//@ needs: [kernel:6.16]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_memory::{Area, R, RW};
use nix::errno::Errno;

const SYS_MSEAL: i64 = 462;

pub fn run(gate: &mut Gate) -> Verdict {
    let area = Area::private(6)?;
    area.fill(1);
    let (sealed, free) = (area.part(0..3), area.part(3..6));
    free.protect(R)?;
    // SAFETY: seals memory of this case, which it does not unmap.
    Errno::result(unsafe { libc::syscall(SYS_MSEAL, sealed.at(0), sealed.at(3) - sealed.at(0), 0) })?;
    gate.checkpoint()?;
    area.check_fill("the data", 1)?;
    check_eq("unmapping a sealed page", sealed.part(1..2).unmap(), Err(Errno::EPERM))?;
    check_eq("protecting a sealed page", sealed.part(0..1).protect(R), Err(Errno::EPERM))?;
    check_eq("moving a sealed area", sealed.remap(4, libc::MREMAP_MAYMOVE, 0), Err(Errno::EPERM))?;
    sealed.set(0, 3);
    check_eq("writing a sealed page", sealed.word(0), 3)?;
    check_eq("protecting a page beside", free.protect(RW), Ok(()))
}
