//! A transparent huge page with a read-only page and an unmapped one in its midst keeps its data.
//@ needs: [kernel:thp]
use crate::gate::{Gate, Verdict, check};
use crate::tools_memory::{Area, R, page};

pub fn run(gate: &mut Gate) -> Verdict {
    // 6 MiB hold two aligned huge pages.
    let area = Area::private((6 << 20) / page())?;
    area.advise(libc::MADV_HUGEPAGE)?;
    area.fill(1);
    area.part(700..701).unmap()?;
    area.part(800..801).protect(R)?;
    let cut = [0..700, 701..800, 800..801, 801..area.pages()];
    let sums: Vec<u64> = cut.iter().map(|r| sum(&area.part(r.clone()))).collect();
    gate.checkpoint()?;
    check("the gap is there", !area.part(700..701).mapped())?;
    let now: Vec<u64> = cut.iter().map(|r| sum(&area.part(r.clone()))).collect();
    check("the sums of all parts", now == sums)?;
    area.part(0..700).fill(2);
    area.part(0..700).check_fill("the area written again", 2)
}

fn sum(area: &Area) -> u64 {
    let words = (area.at(area.pages()) - area.at(0)) / 8;
    (0..words).fold(0, |sum: u64, i| {
        // SAFETY: within the area, which is readable.
        let word = unsafe { (area.at(0) as *const u64).add(i).read_volatile() };
        sum.rotate_left(1) ^ word
    })
}
