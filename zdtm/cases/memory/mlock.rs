//! Locked areas stay locked, by mlock and by mlock2 on fault, and VmLck says so.
//@ needs: [cap:ipc_lock]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::status_field;
use crate::tools_maps::{kib, locks, smaps_of};
use crate::tools_memory::{Area, page};
use nix::errno::Errno;

pub fn run(gate: &mut Gate) -> Verdict {
    let (locked, on_fault, free) = (Area::private(8)?, Area::private(8)?, Area::private(8)?);
    locked.part(0..2).fill(1);
    on_fault.set(3, 3);
    free.fill(2);
    // SAFETY: locks memory of this case.
    unsafe {
        Errno::result(libc::mlock(locked.at(0) as *const _, locked.at(8) - locked.at(0)))?;
        let bytes = on_fault.at(8) - on_fault.at(0);
        Errno::result(libc::syscall(libc::SYS_mlock2, on_fault.at(0), bytes, libc::MLOCK_ONFAULT))?;
    }
    let total = status_field("self", "VmLck")?;
    gate.checkpoint()?;
    check_eq("VmLck", status_field("self", "VmLck")?, total)?;
    check_eq("locks of the locked area", locks(locked.at(0))?, vec!["lo".to_owned()])?;
    check_eq("locks of the area locked on fault", locks(on_fault.at(0))?, vec!["lo".to_owned(), "lf".to_owned()])?;
    check_eq("locks of the free area", locks(free.at(0))?, vec![])?;
    let resident = |area: &Area| kib(&smaps_of(area.at(0))?["Rss"]);
    let whole = resident(&locked)?;
    check("the locked area is wholly resident", whole >= (8 * page() / 1024) as u64)?;
    check("the area locked on fault is not", resident(&on_fault)? < whole)?;
    locked.part(0..2).check_fill("the locked area", 1)?;
    check_eq("a page locked on fault", on_fault.word(3), 3)
}
