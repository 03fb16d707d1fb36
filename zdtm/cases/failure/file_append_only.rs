//! A file that became append-only while it was open for writing anywhere is refused.
//@ dump-fails: chattr -a
//@ needs: [cap:linux_immutable]
use crate::gate::{Gate, Verdict};
use crate::tools_files::{APPEND_ONLY, set_chattr, write_once};
use std::fs::File;

pub fn run(gate: &mut Gate) -> Verdict {
    let file = File::options().write(true).create_new(true).open(gate.path("file"))?;
    set_chattr(&file, APPEND_ONLY, true)?;
    let passed = gate.checkpoint();
    let written = write_once(&file, b"data");
    set_chattr(&file, APPEND_ONLY, false)?;
    passed.and(written)
}
