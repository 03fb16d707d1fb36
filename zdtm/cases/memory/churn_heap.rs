//! Threads that allocate and free memory of all sizes, and threads that come and go, can be caught at any point.
//@ witness: -maps -threads # they come and go all the time
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_memory::mix;
use std::sync::atomic::{AtomicU32, Ordering};

/// Allocates blocks of many sizes and checks each before it is freed, until the gate has passed.
fn churn(gate: &Gate, seed: u64, rounds: &AtomicU32) -> Verdict {
    let mut blocks: Vec<(Vec<u64>, u64)> = Vec::new();
    let mut n = 0;
    while !gate.passed() {
        n += 1;
        let random = mix(seed, n);
        let mut block = vec![random; 1 + (random % 40_000) as usize];
        block.resize(block.len() / 2 + 1, 0);
        blocks.push((block, random));
        if blocks.len() > 30 {
            let (old, value) = blocks.swap_remove((random >> 32) as usize % 30);
            check("a block has kept its value", old.iter().all(|w| *w == value))?;
        }
        rounds.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

pub fn run(gate: &mut Gate) -> Verdict {
    let rounds = AtomicU32::new(0);
    let gate = &*gate;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..3)
            .map(|seed| {
                scope.spawn({
                    let rounds = &rounds;
                    move || churn(gate, seed, rounds)
                })
            })
            .collect();
        let mut said = false;
        while !gate.passed() {
            // Short-lived threads: each maps a stack, answers, and goes.
            let answer = std::thread::scope(|inner| inner.spawn(|| mix(1, 2)).join().unwrap_or(0));
            check_eq("a short-lived thread's answer", answer, mix(1, 2))?;
            if !said && rounds.load(Ordering::SeqCst) > 300 {
                gate.ready();
                said = true;
            }
        }
        workers.into_iter().try_for_each(|w| w.join().unwrap_or_else(|_| crate::gate::fail("a worker panicked")))
    })
}
