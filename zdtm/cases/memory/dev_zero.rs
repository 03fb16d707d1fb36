//! Mappings of /dev/zero: private ones are memory with a name, shared ones are common to relatives.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_maps::map_of;
use crate::tools_memory::{Area, RW};
use std::fs::OpenOptions;

pub fn run(gate: &mut Gate) -> Verdict {
    let zero = OpenOptions::new().read(true).write(true).open("/dev/zero")?;
    let private = Area::file(4, RW, libc::MAP_PRIVATE, &zero, 0)?;
    let shared = Area::file(4, RW, libc::MAP_SHARED, &zero, 0)?;
    drop(zero);
    private.part(1..3).fill(1);
    shared.fill(2);
    let names = (map_of(private.at(0))?.name, map_of(shared.at(0))?.name);
    gate.checkpoint()?;
    private.part(1..3).check_fill("private pages of /dev/zero", 1)?;
    private.part(3..4).check_zero("an untouched page of /dev/zero")?;
    shared.check_fill("shared pages of /dev/zero", 2)?;
    check_eq("the names in maps", (map_of(private.at(0))?.name, map_of(shared.at(0))?.name), names)?;
    let child = gate.fork(|_| {
        private.set(1, 0);
        shared.set(1, 99);
        Ok(())
    })?;
    wait_ok(child)?;
    check_eq("what a child wrote to the shared mapping", shared.word(1), 99)?;
    private.part(1..3).check_fill("private pages after a child wrote its own", 1)
}
