//! After mlockall(MCL_CURRENT | MCL_FUTURE) everything is locked and resident, then and later; munlockall frees it.
//@ needs: [cap:ipc_lock]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::status_field;
use crate::tools_maps::{kib, smaps_of, vm_flags};
use crate::tools_memory::{Area, page};
use nix::sys::mman::{MlockAllFlags, mlockall, munlockall};

fn resident(area: &Area) -> Verdict<u64> {
    kib(&smaps_of(area.at(0))?["Rss"])
}

pub fn run(gate: &mut Gate) -> Verdict {
    // Shared areas: neighbours that are private might become one.
    let old = Area::shared(16)?;
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE)?;
    let whole = (16 * page() / 1024) as u64;
    check_eq("resident before", resident(&old)?, whole)?;
    let locked = kib(&status_field("self", "VmLck")?)?;
    gate.checkpoint()?;
    check("as much is locked as before", kib(&status_field("self", "VmLck")?)? >= locked)?;
    check_eq("resident of the old area", resident(&old)?, whole)?;
    let new = Area::shared(16)?;
    check_eq("resident of a new area that nobody touched", resident(&new)?, whole)?;
    check("the new area is locked", vm_flags(new.at(0))?.contains(&"lo".to_owned()))?;
    munlockall()?;
    check_eq("locked after munlockall", status_field("self", "VmLck")?, "0 kB".to_owned())?;
    check_eq("resident of an area made after that", resident(&Area::shared(16)?)?, 0)
}
