//! A process that gave up the right to make memory executable has not got it back, and was dumped and restored without
//! it.
//@ needs: [kernel:6.6]
use crate::gate::{Gate, Verdict};
use crate::tools_creds::{Setup, each_child};
use crate::tools_tasks::{Outcome, must, outcome, prctl};
use std::ptr::null_mut;

const SET_MDWE: i32 = 65;
const GET_MDWE: i32 = 66;

/// The setting; a mapping that is writable and executable; one that is to become executable.
fn observe() -> Verdict<(i64, i32, Outcome)> {
    let (read, write, execute) = (libc::PROT_READ, libc::PROT_WRITE, libc::PROT_EXEC);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: fresh mappings at addresses of the kernel's choice, unmapped again.
    unsafe {
        let both = libc::mmap(null_mut(), 4096, read | write | execute, flags, -1, 0);
        let refused = outcome(if both == libc::MAP_FAILED { -1 } else { 0 }).1;
        let plain = libc::mmap(null_mut(), 4096, read | write, flags, -1, 0);
        let changed = outcome(libc::mprotect(plain, 4096, read | execute));
        libc::munmap(plain, 4096);
        if both != libc::MAP_FAILED {
            libc::munmap(both, 4096);
        }
        Ok((must("PR_GET_MDWE", prctl(GET_MDWE, 0))?, refused, changed))
    }
}

pub fn run(gate: &mut Gate) -> Verdict {
    // Refuse any gain of execution; the same but not for children.
    let set = |bits: u64| -> Setup { Box::new(move || must("PR_SET_MDWE", prctl(SET_MDWE, bits)).map(drop)) };
    each_child(gate, vec![set(1), set(3)], observe)
}
