//! An attached segment of System V shared memory is refused by name; its data stay.
//@ dump-fails: "/SYSV"
//@ needs: [kernel:sysvipc]
use crate::gate::{Gate, Verdict};
use crate::tools_memory::{Area, page};
use nix::errno::Errno;

pub fn run(gate: &mut Gate) -> Verdict {
    // SAFETY: the segment is the case's own and removed as soon as it is attached; it lives until the process ends.
    let at = unsafe {
        let id = Errno::result(libc::shmget(libc::IPC_PRIVATE, 2 * page(), 0o600))?;
        let at = libc::shmat(id, std::ptr::null(), 0);
        let error = Errno::last();
        Errno::result(libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()))?;
        if at as isize == -1 {
            return Err(error.into());
        }
        at
    };
    let area = Area::at_address(at as usize, 2);
    area.fill(1);
    gate.checkpoint()?;
    area.check_fill("the segment", 1)
}
