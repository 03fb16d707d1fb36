//! A deleted file larger than the default limit comes back when the limit is raised.
//@ dump-options: --ghost-limit 4M
use crate::gate::{Gate, Verdict, check};
use crate::tools_memory::mix;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

pub fn run(gate: &mut Gate) -> Verdict {
    let data: Vec<u8> = (0..(3 << 20) / 8).flat_map(|i| mix(7, i).to_ne_bytes()).collect();
    fs::write(gate.path("large"), &data)?;
    let file = File::open(gate.path("large"))?;
    fs::remove_file(gate.path("large"))?;
    gate.checkpoint()?;
    let mut now = vec![0; data.len()];
    file.read_exact_at(&mut now, 0)?;
    check("all data", now == data)?;
    check("the end", file.read_at(&mut [0; 1], data.len() as u64)? == 0)
}
