//! Threads that compute without any system call arrive at the right result.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_spin::{Spin, spin_all};

const A: u64 = 0x5851_f42d_4c95_7f2d;
const C: u64 = 0x1405_7b7e_f767_814f;

/// Steps a linear congruential generator until told to stop: how often, and the state.
fn compute(words: &'static Spin, seed: u64) -> (u64, u64) {
    let (mut rounds, mut state) = (0u64, seed);
    words.running.set(1);
    while words.stop.get() == 0 {
        for _ in 0..64 {
            state = std::hint::black_box(state).wrapping_mul(A).wrapping_add(C);
            rounds += 1;
        }
    }
    (rounds, state)
}

/// The state after `rounds` steps, by repeated squaring of the step.
fn jump(seed: u64, mut rounds: u64) -> u64 {
    let (mut a, mut c, mut state) = (A, C, seed);
    while rounds != 0 {
        if rounds & 1 == 1 {
            state = state.wrapping_mul(a).wrapping_add(c);
        }
        (a, c) = (a.wrapping_mul(a), a.wrapping_mul(c).wrapping_add(c));
        rounds >>= 1;
    }
    state
}

pub fn run(gate: &mut Gate) -> Verdict {
    let bodies = [1u64, 2, 3, 4]
        .map(|seed| -> Box<dyn FnOnce(&'static Spin) -> (u64, u64) + Send> { Box::new(move |w| compute(w, seed)) });
    for (i, (rounds, state)) in spin_all(gate, bodies.into())?.into_iter().enumerate() {
        check("the computation ran", rounds != 0)?;
        check_eq("the result", state, jump(i as u64 + 1, rounds))?;
    }
    Ok(())
}
