//! Memory that threads write without a pause while it is dumped is consistent: no write is lost, none comes twice.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_memory::Area;
use std::sync::atomic::{AtomicU64, Ordering};

const PAGES: usize = 200;

/// Counts pages up in turn until the gate has passed; returns the rounds done.
fn write(gate: &Gate, area: &Area, started: &AtomicU64) -> u64 {
    let mut round = 0;
    while !gate.passed() {
        round += 1;
        for n in 0..PAGES {
            area.set(n, area.word(n) + 1);
        }
        started.fetch_max(round, Ordering::SeqCst);
    }
    round
}

pub fn run(gate: &mut Gate) -> Verdict {
    let areas = [Area::private(PAGES)?, Area::shared(PAGES)?];
    let started = [AtomicU64::new(0), AtomicU64::new(0)];
    let gate = &*gate;
    let rounds: Vec<u64> = std::thread::scope(|scope| {
        let writers: Vec<_> =
            areas.iter().zip(&started).map(|(area, started)| scope.spawn(move || write(gate, area, started))).collect();
        while started.iter().any(|s| s.load(Ordering::SeqCst) < 10) {
            std::thread::yield_now();
        }
        gate.ready();
        writers.into_iter().map(|w| w.join().unwrap_or(0)).collect()
    });
    for (area, rounds) in areas.iter().zip(rounds) {
        (0..PAGES).try_for_each(|n| check_eq(&format!("the count on page {n}"), area.word(n), rounds))?;
    }
    Ok(())
}
