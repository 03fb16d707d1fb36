//! What the shapes of the benchmarks share: noise that does not compress, a roll-call, many threads.

use crate::gate::{Gate, Verdict, check_eq};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{close, pipe, read, write};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// So many bytes (a multiple of eight) of noise, the same for the same seed.
pub fn noise(bytes: usize, seed: u64) -> Vec<u64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..bytes / 8).map(|_| next()).collect()
}

/// A number that differs when a word does, or when two change places.
pub fn checksum(words: &[u64]) -> u64 {
    words.iter().fold(0, |sum: u64, word| sum.rotate_left(1) ^ word)
}

/// A roll-call of children over a pipe that is closed before the dump.
pub struct Roll {
    out: OwnedFd,
    into: OwnedFd,
}

impl Roll {
    /// Before the children are forked.
    pub fn new() -> Verdict<Roll> {
        let (out, into) = pipe()?;
        Ok(Roll { out, into })
    }

    /// A child is ready, and needs the pipe no more. A child ends without dropping what it shares with its parent, so
    /// its copies are closed here and not twice.
    pub fn here(&self) -> Verdict {
        write(&self.into, b".")?;
        close(self.into.as_raw_fd())?;
        close(self.out.as_raw_fd())?;
        Ok(())
    }

    /// Waits for so many children.
    pub fn call(self, children: usize) -> Verdict {
        let mut came = 0;
        let mut buffer = [0; 64];
        while came < children {
            came += read(&self.out, &mut buffer)?;
        }
        Ok(())
    }
}

/// Runs so many threads that wait at the gate, and counts them afterwards.
pub fn threads(gate: &mut Gate, number: usize) -> Verdict {
    let (started, passed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let shared = &*gate;
    thread::scope(|scope| {
        for _ in 0..number - 1 {
            thread::Builder::new().stack_size(32 << 10).spawn_scoped(scope, || {
                started.fetch_add(1, Ordering::SeqCst);
                shared.wait();
                passed.fetch_add(1, Ordering::SeqCst);
            })?;
        }
        while started.load(Ordering::SeqCst) < number - 1 {
            thread::sleep(Duration::from_millis(1));
        }
        shared.ready();
        shared.wait();
        Verdict::Ok(())
    })?;
    check_eq("the threads that came through", passed.load(Ordering::SeqCst), number - 1)
}

/// Allows as many descriptors as the hard limit does.
pub fn many_descriptors() -> Verdict {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(())
}
