//! Reads blocked at the dump meet a signal after the restore: with SA_RESTART the handler runs and the read goes on,
//! without it the read ends with EINTR.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_signals::{caught, count, tgkill};
use crate::tools_tasks::{Outcome, await_that, outcome};
use crate::tools_threads::Call;
use std::io::{PipeReader, Write as _, pipe};
use std::os::fd::AsRawFd as _;

fn read(from: &PipeReader) -> (Outcome, u8) {
    let mut byte = 0u8;
    // SAFETY: one byte is written to `byte`.
    (outcome(unsafe { libc::read(from.as_raw_fd(), (&raw mut byte).cast(), 1) } as i64), byte)
}

pub fn run(gate: &mut Gate) -> Verdict {
    count(libc::SIGUSR1, libc::SA_RESTART)?;
    count(libc::SIGUSR2, 0)?;
    let (patient_reader, mut patient_writer) = pipe()?;
    let (hasty_reader, _hasty_writer) = pipe()?;
    let patient = Call::start(libc::SYS_read, move || read(&patient_reader))?;
    let hasty = Call::start(libc::SYS_read, move || read(&hasty_reader))?;
    gate.checkpoint()?;
    patient.still()?;
    hasty.still()?;
    check_eq("signals before any was sent", [libc::SIGUSR1, libc::SIGUSR2].map(caught), [0, 0])?;
    tgkill(patient.tid, libc::SIGUSR1)?;
    tgkill(hasty.tid, libc::SIGUSR2)?;
    check_eq("the read that a handler ends", hasty.result()?, ((-1, libc::EINTR), 0))?;
    await_that("the other handler", || Ok(caught(libc::SIGUSR1) == 1))?;
    patient.still()?;
    patient_writer.write_all(b"p")?;
    check_eq("the read that goes on", patient.result()?, ((1, 0), b'p'))?;
    check_eq("signals caught", [libc::SIGUSR1, libc::SIGUSR2].map(caught), [1, 1])
}
