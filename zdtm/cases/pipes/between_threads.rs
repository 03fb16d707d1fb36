//! Two threads of a process and their pipes: the one waits at an empty pipe, bytes for it wait in another.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{read_once, write_once};
use crate::tools_threads::Call;
use nix::unistd::pipe;
use std::sync::Arc;

/// How many bytes the thread asks for: its registers show it.
const ASKED: usize = 4321;

pub fn run(gate: &mut Gate) -> Verdict {
    let (empty, filled) = (Arc::new(pipe()?), pipe()?);
    write_once(&filled.1, b"for the other thread")?;
    let own = Arc::clone(&empty);
    let waiting = Call::start(libc::SYS_read, move || read_once(&own.0, ASKED))?;
    gate.checkpoint()?;
    waiting.still()?;
    let bytes = read_once(&filled.0, 100)?;
    check_eq("the bytes in the pipe", bytes.as_slice(), &b"for the other thread"[..])?;
    write_once(&empty.1, &bytes)?;
    check_eq("what the thread got", waiting.result()??, bytes)
}
