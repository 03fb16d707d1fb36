//! Queued signals that come all the time while the process is frozen: a handler sees each of them once and in order.
//@ witness: -SigPnd -ShdPnd -SigBlk # signals come and go, and the handler runs
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_signals::{Info, change_mask, handle_info, mask, queue};
use crate::tools_tasks::{Word, child};
use nix::unistd::getpid;
use std::ffi::{c_int, c_void};
use std::sync::OnceLock;
use std::time::Duration;

/// The last value seen, in memory that the sender sees too.
static SEEN: OnceLock<&'static Word> = OnceLock::new();
static WRONG: Word = Word::new();

extern "C" fn handler(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel passes the signal's information, which holds a value.
    let value = unsafe { (*info).si_value() }.sival_ptr as usize as u32;
    let Some(last) = SEEN.get() else { return };
    if value != last.get().wrapping_add(1) {
        WRONG.bump();
    }
    last.set(value);
}

pub fn run(gate: &mut Gate) -> Verdict {
    let signal = libc::SIGRTMIN() + 6;
    handle_info(signal, handler, libc::SA_RESTART)?;
    let (stop, sent, last) = (Word::shared()?, Word::shared()?, Word::shared()?);
    check("the first use", SEEN.set(last).is_ok())?;
    let target = getpid().as_raw();
    let sender = child(gate, |_| {
        change_mask(libc::SIG_BLOCK, mask(&[signal]));
        let from = (getpid().as_raw(), 0);
        while stop.get() == 0 {
            let info = Info::queued(signal, libc::SI_QUEUE, from, u64::from(sent.get() + 1));
            match queue(target, None, &info) {
                (0, _) => drop(sent.bump()),
                (_, errno) => check_eq("the error of a full queue", errno, libc::EAGAIN)?,
            }
            // In bursts, so that the receiver gets to run something besides its handler.
            if sent.get() % 20 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    })?;
    last.wait_for(20);
    gate.checkpoint()?;
    last.wait_for(last.get() + 200);
    stop.set(1);
    wait_ok(sender)?;
    check_eq("the last value", last.get(), sent.get())?;
    check_eq("values out of order", WRONG.get(), 0)
}
