//! A process that lets the kernel merge all its equal pages (PR_SET_MEMORY_MERGE) still does, its child does not.
//@ needs: [kernel:6.4, kernel:ksm]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_maps::vm_flags;
use crate::tools_memory::Area;
use crate::tools_relatives::{arrive, await_word, shared_word};
use nix::errno::Errno;

const PR_SET_MEMORY_MERGE: i32 = 67;
const PR_GET_MEMORY_MERGE: i32 = 68;

fn prctl(option: i32, value: usize) -> Result<i32, Errno> {
    // SAFETY: these options take integers only.
    Errno::result(unsafe { libc::prctl(option, value, 0usize, 0usize, 0usize) })
}

fn mergeable(area: &Area) -> Verdict<bool> {
    Ok(vm_flags(area.at(0))?.contains(&"mg".to_owned()))
}

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let child = gate.fork(|gate| {
        arrive(word);
        gate.wait();
        check_eq("the child's setting", prctl(PR_GET_MEMORY_MERGE, 0)?, 0)
    })?;
    await_word(word, 1)?;
    let old = Area::private(2)?;
    old.fill(1);
    prctl(PR_SET_MEMORY_MERGE, 1)?;
    gate.checkpoint()?;
    check_eq("the setting", prctl(PR_GET_MEMORY_MERGE, 0)?, 1)?;
    check_eq("an area of before", mergeable(&old)?, true)?;
    // Read-only, so that it does not become one with a neighbour.
    check_eq("an area made now", mergeable(&Area::anonymous(2, crate::tools_memory::R, libc::MAP_PRIVATE)?)?, true)?;
    old.check_fill("the data", 1)?;
    wait_ok(child)
}
