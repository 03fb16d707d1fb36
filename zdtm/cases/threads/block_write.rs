//! A thread blocked in a write to a full pipe writes when there is room again: in order, and nothing twice.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_signals::dispose;
use crate::tools_tasks::outcome;
use crate::tools_threads::Call;
use std::io::{Read as _, pipe};
use std::os::fd::AsRawFd as _;

pub fn run(gate: &mut Gate) -> Verdict {
    // Where the case fails, the reader is closed while the thread still writes: that must not hide the failure.
    dispose(libc::SIGPIPE, libc::SIG_IGN)?;
    let (mut reader, writer) = pipe()?;
    // SAFETY: the call takes numbers only.
    let capacity = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_GETPIPE_SZ) } as usize;
    let call = Call::start(libc::SYS_write, move || {
        let write = |byte: u8, length: usize| {
            let data = vec![byte; length];
            // SAFETY: the data is valid for its length.
            outcome(unsafe { libc::write(writer.as_raw_fd(), data.as_ptr().cast(), length) } as i64)
        };
        [write(b'a', capacity), write(b'b', 4096)]
    })?;
    gate.checkpoint()?;
    call.still()?;
    let mut seen = Vec::new();
    let mut part = vec![0; 8192];
    while seen.len() < capacity {
        let got = reader.read(&mut part)?;
        seen.extend_from_slice(&part[..got]);
    }
    check_eq("the writes", call.result()?, [(capacity as i64, 0), (4096, 0)])?;
    // The writer is closed by the end of the thread.
    reader.read_to_end(&mut seen)?;
    let counts = [b'a', b'b'].map(|byte| seen.iter().filter(|b| **b == byte).count());
    check_eq("the bytes of each write", counts, [capacity, 4096])?;
    check_eq("the order", seen.is_sorted(), true)
}
