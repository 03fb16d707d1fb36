//! Threads blocked in the opening of a named pipe, for reading and for writing, go on when the other end is opened.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_threads::Call;
use nix::sys::stat::Mode;
use std::fs::File;
use std::io::{Read as _, Write as _};

pub fn run(gate: &mut Gate) -> Verdict {
    for name in ["to-read", "to-write"] {
        nix::unistd::mkfifo(name, Mode::S_IRWXU)?;
    }
    let reader = Call::start(libc::SYS_openat, || File::open("to-read"))?;
    let writer = Call::start(libc::SYS_openat, || File::options().write(true).open("to-write"))?;
    gate.checkpoint()?;
    reader.still()?;
    writer.still()?;
    File::options().write(true).open("to-read")?.write_all(b"for the reader")?;
    let mut other = File::open("to-write")?;
    let mut text = String::new();
    reader.result()??.read_to_string(&mut text)?;
    check_eq("what the reader got", text.as_str(), "for the reader")?;
    writer.result()??.write_all(b"from the writer")?;
    text.clear();
    other.read_to_string(&mut text)?;
    check_eq("what the writer sent", text.as_str(), "from the writer")
}
