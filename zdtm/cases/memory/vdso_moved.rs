//! A process that has moved its vDSO and the data pages before it finds them where it put them.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_maps::{kernel_areas, map_of};
use crate::tools_memory::{Area, NONE, page};
use crate::tools_relatives::{arrive, await_word, shared_word};

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let child = gate.fork(|gate| {
        let areas = kernel_areas()?;
        let pages = areas.iter().map(|m| (m.end - m.start) / page()).sum();
        let place = Area::anonymous(pages, NONE, libc::MAP_PRIVATE)?;
        let mut done = 0;
        for map in &areas {
            let count = (map.end - map.start) / page();
            let fixed = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
            Area::at_address(map.start, count).remap(count, fixed, place.at(done))?;
            done += count;
        }
        let before = kernel_areas()?;
        arrive(word);
        gate.wait();
        check_eq("the moved vDSO and its data", kernel_areas()?, before)?;
        let start = map_of(place.at(pages - 1))?.start;
        // SAFETY: the start of a readable area.
        check_eq("the vDSO's first bytes", unsafe { (start as *const [u8; 4]).read_volatile() }, *b"\x7fELF")
    })?;
    await_word(word, 1)?;
    gate.checkpoint()?;
    wait_ok(child)
}
