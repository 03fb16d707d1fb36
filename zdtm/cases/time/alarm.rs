//! An alarm keeps its seconds.
use crate::gate::{Gate, Verdict, check, check_eq};

fn alarm(seconds: u32) -> u32 {
    // SAFETY: the call takes a number only.
    unsafe { libc::alarm(seconds) }
}

pub fn run(gate: &mut Gate) -> Verdict {
    check_eq("the alarm before", alarm(700), 0)?;
    gate.checkpoint()?;
    let left = alarm(0);
    check(&format!("{left} seconds left"), (500..=700).contains(&left))?;
    check_eq("the alarm afterwards", alarm(0), 0)
}
