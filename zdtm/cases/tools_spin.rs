//! What cases of the processor's state share: threads that spin without system calls while the process is frozen.

use crate::gate::{Gate, Verdict};
use crate::tools_tasks::{Word, await_that};
use crate::tools_threads::{join, spawn};

/// The two words of a spinning thread, next to each other: its loop ends when `stop` (offset 0) is not zero; it sets
/// `running` (offset 4) when its registers are loaded.
#[repr(C)]
pub struct Spin {
    pub stop: Word,
    pub running: Word,
}

impl Spin {
    pub const fn new() -> Spin {
        Spin { stop: Word::new(), running: Word::new() }
    }
}

/// Runs each body in a thread until all of them spin, passes the gate, ends the loops and returns what they returned.
pub fn spin_all<T: Send + 'static>(
    gate: &mut Gate,
    bodies: Vec<Box<dyn FnOnce(&'static Spin) -> T + Send>>,
) -> Verdict<Vec<T>> {
    let mut threads = Vec::new();
    for body in bodies {
        let words: &'static Spin = Box::leak(Box::new(Spin::new()));
        threads.push((words, spawn(move || body(words))?));
    }
    for (words, _) in &threads {
        await_that("the loop", || Ok(words.running.get() != 0))?;
    }
    gate.checkpoint()?;
    threads.iter().for_each(|(words, _)| words.stop.set(1));
    threads.into_iter().map(|(_, thread)| join(thread)).collect()
}

/// `spin_all` of one.
pub fn spin<T: Send + 'static>(gate: &mut Gate, body: impl FnOnce(&'static Spin) -> T + Send + 'static) -> Verdict<T> {
    Ok(spin_all(gate, vec![Box::new(body)])?.remove(0))
}

/// `length` bytes that differ from each other and between seeds, none of them zero for long.
pub fn pattern(seed: u8, length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ (u64::from(seed) << 17);
    (0..length)
        .map(|_| {
            // A xorshift generator: any bytes do that a mistake cannot produce by chance.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect()
}
