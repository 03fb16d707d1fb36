//! Shape of a benchmark: a process with 1000 descriptors of as many files.
//@ timeout: 120
use crate::gate::{Gate, Verdict, check_eq};
use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};

pub fn run(gate: &mut Gate) -> Verdict {
    crate::tools_bench::many_descriptors()?;
    let mut files = Vec::new();
    for n in 0..1000u64 {
        let mut file = File::create(gate.path(&format!("file-{n}")))?;
        file.write_all(b"content")?;
        file.seek(SeekFrom::Start(n))?;
        files.push(file);
    }
    gate.checkpoint()?;
    for (n, file) in files.iter_mut().enumerate() {
        check_eq("the offset", file.stream_position()?, n as u64)?;
    }
    Ok(())
}
