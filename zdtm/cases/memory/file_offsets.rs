//! Mappings at odd page offsets, out of order, and beyond 4 GiB of a sparse file show the right pages.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_maps::map_of;
use crate::tools_memory::{Area, R, RW, page};
use std::fs::OpenOptions;

const FAR: u64 = (5 << 30) / 4096 + 3;

pub fn run(gate: &mut Gate) -> Verdict {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(gate.path("sparse"))?;
    file.set_len((FAR + 16) * page() as u64)?;
    let near = Area::file(8, RW, libc::MAP_SHARED, &file, 0)?;
    near.fill(1);
    let far = Area::file(4, RW, libc::MAP_SHARED, &file, FAR)?;
    far.fill(2);
    // Eight single pages of the file in reverse order, side by side.
    let reversed = Area::private(8)?;
    for n in 0..8 {
        let fixed = libc::MAP_SHARED | libc::MAP_FIXED;
        Area::raw(reversed.at(n), 1, R, fixed, std::os::fd::AsRawFd::as_raw_fd(&file), 7 - n as u64)?;
    }
    let odd = Area::file(3, RW, libc::MAP_PRIVATE, &file, 3)?;
    odd.set(1, 44);
    gate.checkpoint()?;
    near.check_fill("the near mapping", 1)?;
    far.check_fill("the far mapping", 2)?;
    check_eq("the far mapping's offset", map_of(far.at(0))?.offset, FAR * page() as u64)?;
    for n in 0..8 {
        check_eq(&format!("reversed page {n}"), reversed.word(n), near.word(7 - n))?;
    }
    let odd_words = (odd.word(0), odd.word(1), odd.word(2));
    check_eq("the private mapping at page 3", odd_words, (near.word(3), 44, near.word(5)))?;
    far.set(2, 9);
    let again = Area::file(1, R, libc::MAP_SHARED, &file, FAR + 2)?;
    check_eq("a far page written afterwards", again.word(0), 9)
}
