//! A task in strict seccomp mode, which may only read, write and end: blocked in a read and computing, it survives, and
//! any other call still kills it.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::status_field;
use crate::tools_tasks::{Word, child, must, outcome, prctl, wait_status};
use std::io::{Read as _, Write as _, pipe};
use std::os::fd::AsRawFd as _;

/// Ends this task by the one call for it that the mode allows.
fn exit(code: i32) -> ! {
    // SAFETY: ends the task; it has no other threads.
    unsafe { libc::syscall(libc::SYS_exit, code) };
    unreachable!("SYS_exit does not return")
}

pub fn run(gate: &mut Gate) -> Verdict {
    let (question, mut asker) = pipe()?;
    let (mut listener, answer) = pipe()?;
    let up = Word::shared_many(2)?;
    let (from, to) = (question.as_raw_fd(), answer.as_raw_fd());
    let reader = child(gate, |_| {
        up[0].set(1);
        must("strict mode", prctl(libc::PR_SET_SECCOMP, u64::from(libc::SECCOMP_MODE_STRICT)))?;
        let mut byte = 0u8;
        // SAFETY: one byte is read and written.
        let (got, sent) = unsafe {
            let got = outcome(libc::read(from, (&raw mut byte).cast(), 1) as i64);
            byte = byte.wrapping_add(1);
            (got, outcome(libc::write(to, (&raw const byte).cast(), 1) as i64))
        };
        exit(if (got, sent) == ((1, 0), (1, 0)) { 7 } else { 1 })
    })?;
    let computer = child(gate, |_| {
        must("strict mode", prctl(libc::PR_SET_SECCOMP, u64::from(libc::SECCOMP_MODE_STRICT)))?;
        // The word is shared memory; waking, which `bump` does, would be a forbidden call.
        while up[1].get() < 2 {
            std::hint::spin_loop();
        }
        // SAFETY: a call that the mode forbids.
        unsafe { libc::syscall(libc::SYS_getppid) };
        exit(2)
    })?;
    for pid in [reader, computer] {
        crate::tools_tasks::await_that("strict mode", || Ok(status_field(&pid.to_string(), "Seccomp")? == "1"))?;
    }
    gate.checkpoint()?;
    for pid in [reader, computer] {
        check_eq("the mode", status_field(&pid.to_string(), "Seccomp")?, "1".to_owned())?;
    }
    asker.write_all(b"q")?;
    check_eq("the reader's end", wait_status(reader.as_raw(), 0), (i64::from(reader.as_raw()), 7 << 8))?;
    let mut byte = [0];
    listener.read_exact(&mut byte)?;
    check_eq("the answer", byte, *b"r")?;
    up[1].set(2);
    check_eq("the computer's end", wait_status(computer.as_raw(), 0).1 & 0x7f, libc::SIGKILL)
}
