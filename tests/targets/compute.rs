//! Work in registers: checksums that come out wrong when a register of any kind is lost.

use crate::Page;
use std::hint::black_box;

/// A piece of work: integers in many registers and floating point.
pub fn checksum(seed: u64, steps: u32) -> u64 {
    let (mut x, mut f, mut v) = (seed, 1.0f64, [0u64; 8]);
    for i in 0..black_box(steps) {
        x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        f = f * 1.000_000_1 + (x >> 40) as f64 * 1e-9;
        v[(x >> 61) as usize] ^= x.rotate_left(i & 63);
    }
    v.iter().fold(x ^ f.to_bits(), |sum, word| sum.rotate_left(7) ^ word)
}

/// Computes until told to stop.
pub fn compute(page: &Page, worker: usize) {
    let seed = worker as u64 + 1;
    let right = checksum(seed, 50_000);
    page.work(worker, || if checksum(black_box(seed), 50_000) == right { Ok(()) } else { Err(1) });
}

/// Four threads.
pub fn threads(page: &'static Page) {
    let others: Vec<_> = (1..4).map(|i| std::thread::spawn(move || compute(page, i))).collect();
    page.ready(4);
    compute(page, 0);
    for thread in others {
        if thread.join().is_err() {
            std::process::exit(1);
        }
    }
}

/// A process with three children.
pub fn tree(page: &'static Page) {
    for worker in 1..4 {
        // SAFETY: there is one thread; the child ends by _exit.
        unsafe {
            if libc::fork() == 0 {
                compute(page, worker);
                libc::_exit(0);
            }
        }
    }
    page.ready(4);
    compute(page, 0);
    for _ in 1..4 {
        let mut status = 0;
        // SAFETY: a place for the status.
        if unsafe { libc::wait(&mut status) } < 0 || status != 0 {
            std::process::exit(1);
        }
    }
}
