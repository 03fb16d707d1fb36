//! Private anonymous memory keeps every word: full pages, a single byte, a page written with zeros, untouched pages.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_memory::Area;

pub fn run(gate: &mut Gate) -> Verdict {
    let full = Area::private(300)?;
    full.fill(1);
    let sparse = Area::private(64)?;
    sparse.set(3, 0x0123_4567_89ab_cdef);
    sparse.set(5, u64::MAX);
    sparse.set(5, 0);
    sparse.set(63, 7);
    gate.checkpoint()?;
    full.check_fill("the full area", 1)?;
    for n in 0..64 {
        let want = [(3, 0x0123_4567_89ab_cdef), (63, 7)].iter().find(|(p, _)| *p == n).map_or(0, |(_, v)| *v);
        check_eq(&format!("page {n}"), sparse.word(n), want)?;
    }
    sparse.part(6..63).check_zero("untouched pages")?;
    sparse.fill(2);
    sparse.check_fill("the area written afterwards", 2)
}
