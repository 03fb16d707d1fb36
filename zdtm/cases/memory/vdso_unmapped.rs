//! A process that has unmapped its vDSO does without it afterwards too.
//@ dump-fails: "no vDSO"
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_maps::kernel_areas;
use crate::tools_memory::{Area, page};
use crate::tools_relatives::{arrive, await_word, shared_word};

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let child = gate.fork(|gate| {
        for map in kernel_areas()? {
            Area::at_address(map.start, (map.end - map.start) / page()).unmap()?;
        }
        arrive(word);
        gate.wait();
        check_eq("vDSO areas", kernel_areas()?, vec![])
    })?;
    await_word(word, 1)?;
    gate.checkpoint()?;
    wait_ok(child)
}
