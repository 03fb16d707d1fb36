//! Threads blocked in pselect: until a descriptor is ready, which the returned sets tell, and with a mask of its own,
//! where a signal interrupts it, the sets stay untouched and the old mask comes back.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_signals::{caught, change_mask, count, current_mask, mask, tgkill};
use crate::tools_tasks::{Outcome, outcome};
use crate::tools_threads::Call;
use std::io::{Write as _, pipe};
use std::os::fd::AsRawFd as _;

/// `pselect6` for reading of the descriptors in the bits of `set`; returns the set left.
fn pselect(set: u64, mask: Option<u64>) -> (Outcome, u64) {
    let mut sets = [0u64; 16];
    sets[0] = set;
    let given = mask.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let with_size = [given as usize, 8];
    let none = std::ptr::null_mut::<u64>();
    // SAFETY: the sets hold 1024 bits; the mask and its size are valid during the call.
    let done =
        unsafe { libc::syscall(libc::SYS_pselect6, 64, sets.as_mut_ptr(), none, none, none, &raw const with_size) };
    (outcome(done), sets[0])
}

pub fn run(gate: &mut Gate) -> Verdict {
    count(libc::SIGUSR2, libc::SA_RESTART)?;
    let (quiet, _quiet_writer) = pipe()?;
    let (reader, mut writer) = pipe()?;
    let (quiet, ready) = (1u64 << quiet.as_raw_fd(), 1u64 << reader.as_raw_fd());
    let plain = Call::start(libc::SYS_pselect6, move || pselect(quiet | ready, None))?;
    let masked = Call::start(libc::SYS_pselect6, move || {
        change_mask(libc::SIG_SETMASK, mask(&[libc::SIGUSR2]));
        (pselect(quiet, Some(0)), current_mask())
    })?;
    gate.checkpoint()?;
    plain.still()?;
    masked.still()?;
    writer.write_all(b"x")?;
    check_eq("the plain select", plain.result()?, ((1, 0), ready))?;
    tgkill(masked.tid, libc::SIGUSR2)?;
    check_eq("the masked select", masked.result()?, (((-1, libc::EINTR), quiet), mask(&[libc::SIGUSR2])))?;
    check_eq("signals caught", caught(libc::SIGUSR2), 1)
}
