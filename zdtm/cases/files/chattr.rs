//! Files with attributes of chattr(1): an append-only one that is appended to, an immutable one that is read.
//@ needs: [cap:linux_immutable]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{APPEND_ONLY, IMMUTABLE, read_once, set_chattr, write_once};
use std::fs::{self, File};

pub fn run(gate: &mut Gate) -> Verdict {
    let journal = File::options().append(true).create_new(true).open(gate.path("journal"))?;
    write_once(&journal, b"before ")?;
    set_chattr(&journal, APPEND_ONLY, true)?;
    fs::write(gate.path("fixed"), b"data")?;
    let fixed = File::open(gate.path("fixed"))?;
    set_chattr(&fixed, IMMUTABLE, true)?;
    let passed = gate.checkpoint();
    let written = write_once(&journal, b"after");
    set_chattr(&journal, APPEND_ONLY, false)?;
    set_chattr(&fixed, IMMUTABLE, false)?;
    passed.and(written)?;
    check_eq("the journal", fs::read_to_string(gate.path("journal"))?, "before after".to_owned())?;
    check_eq("the data", read_once(&fixed, 10)?, b"data".to_vec())
}
