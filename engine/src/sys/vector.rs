//! The vector lengths that AArch64's kernel lets a thread choose (SVE since Linux 4.15, SME since 5.19).

use nix::errno::Errno;

/// What has a length of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// The scalable vectors.
    Sve,
    /// Those of the streaming mode.
    Sme,
}

/// The bits of prctl's answer and argument that hold the length.
const LENGTH: i32 = 0xffff;
/// Bytes by which lengths differ, and the shortest.
const STEP: u32 = 16;
/// The longest length that the kernel lets us ask for (SVE_VL_MAX of asm/sve_context.h).
const LONGEST: u32 = 8192;

/// The lengths in bytes that can be chosen, in ascending order; none where the CPU or its kernel has no such unit.
pub fn lengths(unit: Unit) -> Vec<u32> {
    // Choosing a length empties the vectors of the thread, so that is left to one that ends afterwards.
    let asked = std::thread::Builder::new().spawn(move || ask(unit));
    asked.ok().and_then(|thread| thread.join().ok()).unwrap_or_default()
}

fn ask(unit: Unit) -> Vec<u32> {
    // PR_SVE_SET_VL, PR_SME_SET_VL.
    let call = match unit {
        Unit::Sve => 50,
        Unit::Sme => 63,
    };
    let choose = |length: u32| {
        // SAFETY: it changes nothing but the vector length of this thread, which has nothing in its vectors.
        let chosen = Errno::result(unsafe { libc::prctl(call, libc::c_ulong::from(length), 0, 0, 0) });
        chosen.ok().map(|answer| (answer & LENGTH) as u32)
    };
    let mut found = Vec::new();
    // The kernel takes the longest that is not above what is asked for, or else the shortest.
    let mut next = choose(LONGEST);
    while let Some(length) = next {
        if found.last().is_some_and(|last| length >= *last) || length < STEP {
            break;
        }
        found.push(length);
        next = if length > STEP { choose(length - STEP) } else { None };
    }
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_told_in_order() {
        for unit in [Unit::Sve, Unit::Sme] {
            let found = lengths(unit);
            assert!(found.windows(2).all(|w| w[0] < w[1]), "{found:?}");
            assert!(found.iter().all(|length| length % STEP == 0), "{found:?}");
            assert!(std::env::consts::ARCH == "aarch64" || found.is_empty(), "{found:?}");
        }
    }
}
