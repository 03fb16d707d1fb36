//! A process that has moved its vDSO finds it there; one that has unmapped it does without.
//@ timeout: 30
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_maps::{Map, map_of, maps};
use crate::tools_memory::{Area, NONE, page};
use crate::tools_tasks::{arrive, await_word, shared_word};

/// The vDSO's code and its data pages, in the order of their addresses.
fn kernel_areas() -> Verdict<Vec<Map>> {
    Ok(maps("self")?.into_iter().filter(|m| m.name == "[vdso]" || m.name.starts_with("[vvar")).collect())
}

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let moved = gate.fork(|gate| {
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
        check_eq("the first bytes of the vDSO", elf_magic(place.at(pages - 1))?, *b"\x7fELF")
    })?;
    let without = gate.fork(|gate| {
        for map in kernel_areas()? {
            Area::at_address(map.start, (map.end - map.start) / page()).unmap()?;
        }
        arrive(word);
        gate.wait();
        check_eq("vDSO areas", kernel_areas()?, vec![])
    })?;
    // Asking the time would jump into what is gone: wait without it.
    while word.load(std::sync::atomic::Ordering::SeqCst) < 2 {
        std::thread::yield_now();
    }
    gate.checkpoint()?;
    wait_ok(moved)?;
    wait_ok(without)?;
    await_word(word, 2)
}

fn elf_magic(in_vdso: usize) -> Verdict<[u8; 4]> {
    let start = map_of(in_vdso)?.start;
    // SAFETY: the start of a readable area.
    Ok(unsafe { (start as *const [u8; 4]).read_volatile() })
}
