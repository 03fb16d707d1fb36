//! A process that has forsworn writable executable memory (PR_SET_MDWE) cannot get any afterwards either.
//@ needs: [kernel:6.3]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_memory::{Area, R, RW, RX};
use nix::errno::Errno;

const PR_SET_MDWE: i32 = 65;
const PR_GET_MDWE: i32 = 66;
const PR_MDWE_REFUSE_EXEC_GAIN: usize = 1;

fn prctl(option: i32, value: usize) -> Result<i32, Errno> {
    // SAFETY: these options take integers only.
    Errno::result(unsafe { libc::prctl(option, value, 0usize, 0usize, 0usize) })
}

pub fn run(gate: &mut Gate) -> Verdict {
    let (data, code) = (Area::private(2)?, Area::anonymous(2, RX, libc::MAP_PRIVATE)?);
    data.fill(1);
    prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN)?;
    gate.checkpoint()?;
    check_eq("the setting", prctl(PR_GET_MDWE, 0)?, PR_MDWE_REFUSE_EXEC_GAIN as i32)?;
    check_eq("making data executable", data.protect(RX), Err(Errno::EACCES))?;
    let both = Area::anonymous(1, RW | libc::PROT_EXEC, libc::MAP_PRIVATE);
    check_eq("memory that is both", both.is_err(), true)?;
    check_eq("what was executable may stay so", (code.protect(R), code.protect(R)), (Ok(()), Ok(())))?;
    check_eq("but not become so again", code.protect(RX), Err(Errno::EACCES))?;
    data.check_fill("the data", 1)
}
