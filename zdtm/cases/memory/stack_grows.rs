//! The main stack keeps its frames and still grows far beyond what it was.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_maps::maps;
use crate::tools_memory::mix;

const FRAME: usize = 512;

fn stack_size() -> Verdict<usize> {
    Ok(maps("self")?.iter().find(|m| m.name == "[stack]").map_or(0, |m| m.end - m.start))
}

/// Goes `depth` frames down, runs `bottom` there, and checks each frame on the way back.
fn descend(depth: u64, bottom: &mut dyn FnMut() -> Verdict) -> Verdict {
    let mut frame = [0u64; FRAME];
    for (i, word) in frame.iter_mut().enumerate() {
        *word = mix(depth, i as u64);
    }
    let frame = std::hint::black_box(frame);
    if depth == 0 {
        bottom()?
    } else {
        descend(depth - 1, bottom)?
    }
    (0..FRAME).try_for_each(|i| check_eq("a word of a frame", frame[i], mix(depth, i as u64)))
}

pub fn run(gate: &mut Gate) -> Verdict {
    descend(100, &mut || {
        let before = stack_size()?;
        gate.checkpoint()?;
        check("the stack is as large as it was", stack_size()? >= before)?;
        // 700 frames of more than 4 KiB: 2.8 MiB more.
        descend(700, &mut || check("the stack has grown", stack_size()? > before + (2 << 20)))
    })
}
