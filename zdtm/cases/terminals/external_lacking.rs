//! A terminal that was left out of a dump must be supplied to the restore.
//@ session: terminal
//@ options: --shell-job
//@ dump-options: --external TERMINAL
//@ restore-fails: was left out of the dump as external, and no descriptor is given for it
use crate::gate::{Gate, Verdict};

pub fn run(gate: &mut Gate) -> Verdict {
    gate.checkpoint()
}
