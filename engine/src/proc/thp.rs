//! Transparent huge pages, as /sys/kernel/mm/transparent_hugepage says.

use std::fs;
use std::sync::OnceLock;

fn say(name: &str) -> Option<String> {
    fs::read_to_string(format!("/sys/kernel/mm/transparent_hugepage/{name}")).ok()
}

/// Bytes of a huge page; none where the kernel makes none.
pub fn size() -> Option<u64> {
    let size: u64 = say("hpage_pmd_size")?.trim().parse().ok()?;
    (size.is_power_of_two() && size > crate::sys::page_size()).then_some(size)
}

/// The same, where the kernel makes huge pages in all memory, unasked. The answer stays the same while this program runs.
pub fn unasked() -> Option<u64> {
    static UNASKED: OnceLock<Option<u64>> = OnceLock::new();
    let always = || say("enabled").is_some_and(|text| text.split_whitespace().any(|word| word == "[always]"));
    *UNASKED.get_or_init(|| size().filter(|_| always()))
}
