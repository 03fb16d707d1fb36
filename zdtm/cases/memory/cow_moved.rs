//! Pages shared copy-on-write stay shared in memory use when parent or child has moved the area since the fork, whole or
//! in part, and others lie in its old place; writes stay with the writer.
//@ timeout: 60
use crate::gate::{Gate, Verdict, check};
use crate::tools::wait_ok;
use crate::tools_maps::{check_sharing, pss};
use crate::tools_memory::{Area, NONE, RW, page};
use crate::tools_relatives::{arrive, await_word, shared_word};
use nix::unistd::Pid;

const MREMAP_DONTUNMAP: i32 = 4;
const MOVE: i32 = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;

/// The memory of this process, its children and theirs.
fn total(children: &[Pid]) -> Verdict<u64> {
    let mut sum = pss("self")?;
    for child in children {
        let below = std::fs::read_to_string(format!("/proc/{child}/task/{child}/children"))?;
        for pid in below.split_whitespace().map(str::to_owned).chain([child.to_string()]) {
            sum += pss(&pid)?;
        }
    }
    Ok(sum)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let pages = (16 << 20) / page();
    // Room for a place of each, away from others.
    let room = Area::anonymous(8 * pages, NONE, libc::MAP_PRIVATE)?;
    let area = room.part(0..pages);
    area.protect(RW)?;
    area.fill(1);
    let mut children = Vec::new();
    for n in 1..=4 {
        children.push(gate.fork(|gate| {
            let (left, half) = (room.part(n * pages..(n + 1) * pages), pages / 2);
            match n {
                // Left where it is.
                1 => {}
                // Whole, something new in its place.
                2 => {
                    area.remap(pages, MOVE, left.at(0))?;
                    Area::raw(area.at(0), half, RW, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED, -1, 0)?
                        .fill(2);
                }
                // The first half.
                3 => {
                    area.part(0..half).remap(half, MOVE, left.at(0))?;
                }
                // Whole, an empty area left behind, and a child has it from there.
                _ => {
                    area.remap(pages, MOVE | MREMAP_DONTUNMAP, left.at(0))?;
                    gate.fork(|gate| {
                        arrive(word);
                        gate.wait();
                        left.check_fill("the pages of the grandchild", 1)?;
                        await_word(word, 6)
                    })?;
                }
            }
            arrive(word);
            gate.wait();
            match n {
                1 => area.check_fill("the pages left where they were", 1)?,
                2 => area.part(0..half).check_fill("what is in the old place", 2)?,
                3 => check("the old place of the first half is free", !area.part(0..half).mapped())?,
                _ => area.check_zero("what was left behind")?,
            }
            let moved = if n == 1 { area } else { left };
            moved.part(0..half).check_fill("the pages as inherited", 1)?;
            moved.set(0, n as u64);
            await_word(word, 6)
        })?);
    }
    await_word(word, 5)?;
    // The parent moves its own.
    let own = area.remap(pages, MOVE, room.at(6 * pages))?;
    let before = total(&children)?;
    gate.checkpoint()?;
    let after = total(&children)?;
    check_sharing(before, after)?;
    own.check_fill("the parent's pages", 1)?;
    arrive(word);
    children.into_iter().try_for_each(wait_ok)
}
