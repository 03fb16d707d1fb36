//! A MAP_DROPPABLE area stays droppable; whether its contents survive is nobody's promise.
//@ needs: [kernel:6.11]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_maps::{map_of, vm_flags};
use crate::tools_memory::{Area, RW};

const MAP_DROPPABLE: i32 = 0x08;

pub fn run(gate: &mut Gate) -> Verdict {
    let area = Area::anonymous(4, RW, MAP_DROPPABLE)?;
    area.set(1, 0x5ec_4e7);
    let before = map_of(area.at(0))?;
    gate.checkpoint()?;
    check_eq("the area", map_of(area.at(0))?, before)?;
    let flags = vm_flags(area.at(0))?;
    check("the flags dp and wf", ["dp", "wf"].iter().all(|f| flags.contains(&(*f).to_owned())))?;
    check("the word is what was written or zero", [0, 0x5ec_4e7].contains(&area.word(1)))?;
    area.set(2, 2);
    check("the area is usable", [0, 2].contains(&area.word(2)))
}
