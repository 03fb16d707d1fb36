//! A memory file of eight terabytes with some pages of data keeps its size, its data and its holes.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_memfd::memfd;
use crate::tools_memory::page;
use std::os::unix::fs::{FileExt, MetadataExt};

pub fn run(gate: &mut Gate) -> Verdict {
    let size = (8u64 << 40) + 5;
    let places = [0, 3 << 20, (1 << 40) - 3, size - 4];
    let file = memfd(b"sparse", 0)?;
    file.set_len(size)?;
    for place in places {
        file.write_all_at(b"data", place)?;
    }
    let blocks = file.metadata()?.blocks();
    gate.checkpoint()?;
    let status = file.metadata()?;
    check_eq("size and blocks", (status.len(), status.blocks()), (size, blocks))?;
    for place in places {
        let mut found = [0; 4];
        file.read_exact_at(&mut found, place)?;
        check_eq(&format!("what is at {place}"), found, *b"data")?;
    }
    let mut hole = vec![1; page()];
    file.read_exact_at(&mut hole, 5 << 30)?;
    check_eq("a hole", hole, vec![0; page()])
}
