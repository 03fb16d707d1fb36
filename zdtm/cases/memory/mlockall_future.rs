//! After mlockall(MCL_FUTURE | MCL_ONFAULT) a mapping made later is locked on fault by itself, one made before is not.
//@ needs: [cap:ipc_lock]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_maps::locks;
use crate::tools_memory::Area;
use nix::errno::Errno;

pub fn run(gate: &mut Gate) -> Verdict {
    let before = Area::private(4)?;
    before.fill(1);
    // SAFETY: a flag of this process.
    Errno::result(unsafe { libc::mlockall(libc::MCL_FUTURE | libc::MCL_ONFAULT) })?;
    let after = Area::private(4)?;
    after.fill(2);
    check_eq("locks of an area made after mlockall", locks(after.at(0))?, vec!["lo".to_owned(), "lf".to_owned()])?;
    gate.checkpoint()?;
    check_eq("locks of the area made before mlockall", locks(before.at(0))?, vec![])?;
    check_eq("locks of the area made after mlockall", locks(after.at(0))?, vec!["lo".to_owned(), "lf".to_owned()])?;
    // Shared, so that it does not become one with a neighbour.
    let new = Area::shared(4)?;
    check_eq("locks of an area made after the gate", locks(new.at(0))?, vec!["lo".to_owned(), "lf".to_owned()])?;
    before.check_fill("the first area", 1)?;
    after.check_fill("the second area", 2)
}
