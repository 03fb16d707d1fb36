//! A shared file mapping inherited by a child stays common: each sees the other's writes, and so does the file.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_memory::{Area, RW, page};
use std::fs::OpenOptions;
use std::sync::atomic::Ordering;

pub fn run(gate: &mut Gate) -> Verdict {
    let path = gate.path("common");
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    file.set_len(page() as u64)?;
    let area = Area::file(1, RW, libc::MAP_SHARED, &file, 0)?;
    drop(file);
    let count = area.atomic(0);
    let children = (0..3).map(|_| {
        gate.fork(|gate| {
            count.fetch_add(1, Ordering::SeqCst);
            gate.wait();
            for _ in 0..1000 {
                count.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        })
    });
    let children: Vec<_> = children.collect::<Verdict<_>>()?;
    crate::tools_relatives::await_word(count, 3)?;
    gate.checkpoint()?;
    children.into_iter().try_for_each(wait_ok)?;
    check_eq("the common count", count.load(Ordering::SeqCst), 3003)?;
    let in_file = std::fs::read(&path)?;
    check_eq("the count in the file", &in_file[..4], &3003u32.to_ne_bytes()[..])
}
