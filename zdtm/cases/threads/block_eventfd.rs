//! Threads blocked in a read of an eventfd that is zero and in a write to one that is full go on.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_tasks::{Outcome, must, outcome};
use crate::tools_threads::Call;

fn write(fd: i32, value: u64) -> Outcome {
    // SAFETY: eight bytes are read from `value`.
    outcome(unsafe { libc::write(fd, (&raw const value).cast(), 8) } as i64)
}

fn read(fd: i32) -> (Outcome, u64) {
    let mut value = 0u64;
    // SAFETY: eight bytes are written to `value`.
    (outcome(unsafe { libc::read(fd, (&raw mut value).cast(), 8) } as i64), value)
}

pub fn run(gate: &mut Gate) -> Verdict {
    // SAFETY: the calls take numbers only.
    let fds = [0u32; 2].map(|count| must("eventfd", outcome(unsafe { libc::eventfd(count, 0) })));
    let [empty, full] = fds.map(|fd| fd.map_or(-1, |fd| fd as i32));
    check_eq("filling", write(full, u64::MAX - 1), (8, 0))?;
    let reader = Call::start(libc::SYS_read, move || read(empty))?;
    let writer = Call::start(libc::SYS_write, move || write(full, 5))?;
    gate.checkpoint()?;
    reader.still()?;
    writer.still()?;
    check_eq("the write that ends the read", write(empty, 11), (8, 0))?;
    check_eq("the blocked read", reader.result()?, ((8, 0), 11))?;
    check_eq("the read that ends the write", read(full), ((8, 0), u64::MAX - 1))?;
    check_eq("the blocked write", writer.result()?, (8, 0))?;
    check_eq("the counter afterwards", read(full), ((8, 0), 5))
}
