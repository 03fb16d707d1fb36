//! Huge pages from the pool, private and shared, keep their data, their kind and their sharing.
//@ needs: [kernel:hugetlb]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_memory::{Area, RW, kib, page, smaps_of, vm_flags};
use crate::tools_tasks::{arrive, await_word, shared_word};

pub fn run(gate: &mut Gate) -> Verdict {
    let huge = kib(&meminfo("Hugepagesize")?)? as usize * 1024 / page();
    let private = Area::anonymous(huge, RW, libc::MAP_PRIVATE | libc::MAP_HUGETLB)?;
    let shared = Area::anonymous(huge, RW, libc::MAP_SHARED | libc::MAP_HUGETLB)?;
    private.fill(1);
    shared.fill(2);
    let word = shared_word()?;
    let child = gate.fork(|gate| {
        arrive(word);
        gate.wait();
        await_word(word, 2)?;
        check_eq("the shared huge page in the child", shared.word(1), 77)
    })?;
    await_word(word, 1)?;
    gate.checkpoint()?;
    for area in [private, shared] {
        check_eq("the page size", smaps_of(area.at(0))?.get("KernelPageSize").cloned(), Some(meminfo("Hugepagesize")?))?;
        check("the flag ht", vm_flags(area.at(0))?.contains(&"ht".to_owned()))?;
    }
    private.check_fill("the private huge page", 1)?;
    shared.check_fill("the shared huge page", 2)?;
    shared.set(1, 77);
    arrive(word);
    wait_ok(child)
}

fn meminfo(name: &str) -> Verdict<String> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    Ok(text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default().trim().to_owned())
}
