//! Pages shared copy-on-write by parent and children stay shared in memory use, and writes stay with the writer.
//@ timeout: 60
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_maps::{check_sharing, total_pss};
use crate::tools_memory::{Area, page};
use crate::tools_relatives::{arrive, await_word, shared_word};

const CHILDREN: usize = 4;

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let pages = (32 << 20) / page();
    let area = Area::private(pages)?;
    area.fill(1);
    let mut children = Vec::new();
    for n in 1..=CHILDREN {
        let untouched = area.word(n);
        children.push(gate.fork(|gate| {
            area.set(0, n as u64);
            arrive(word);
            gate.wait();
            await_word(word, CHILDREN as u32 + 1)?;
            check_eq("the page that each wrote", area.word(0), n as u64)?;
            check_eq("a page that only the parent wrote", area.word(n), untouched)?;
            area.set(0, crate::tools_memory::mix(1, 0));
            area.check_fill("the pages as inherited", 1)?;
            arrive(word);
            await_word(word, 2 * CHILDREN as u32 + 2)
        })?);
    }
    await_word(word, CHILDREN as u32)?;
    for n in 1..=CHILDREN {
        area.set(n, 1000 + n as u64);
    }
    let before = total_pss(&children)?;
    gate.checkpoint()?;
    let after = total_pss(&children)?;
    check_sharing(before, after)?;
    for n in 1..=CHILDREN {
        check_eq("a page that the parent wrote", area.word(n), 1000 + n as u64)?;
        area.set(n, 0);
    }
    arrive(word);
    await_word(word, 2 * CHILDREN as u32 + 1)?;
    arrive(word);
    children.into_iter().try_for_each(wait_ok)
}
