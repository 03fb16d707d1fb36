//! System calls of the 32-bit interface made by a 64-bit program: a blocked read and a sleep go on in that interface,
//! where their restart has another number.
//@ routes: [once, thrice, leave-running] # a sleep begun by int 0x80 ends with EINTR where the engine is killed: its restart has another number
//@ needs: [kernel:ia32]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_threads::Call;
use crate::tools_x86::low_page;
use std::io::{Write as _, pipe};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

const READ: u32 = 3;
const NANOSLEEP: u32 = 162;

/// A call of the 32-bit interface.
///
/// # Safety
/// The arguments must be valid for the call.
unsafe fn int80(nr: u32, first: u64, second: u64, third: u64) -> i32 {
    let result: i32;
    // SAFETY: the caller's promise; rbx is put back.
    unsafe {
        core::arch::asm!(
            "xchg rbx, {first}; int 0x80; xchg rbx, {first}",
            first = inout(reg) first => _,
            inout("eax") nr => result,
            in("rcx") second,
            in("rdx") third,
        );
    }
    result
}

pub fn run(gate: &mut Gate) -> Verdict {
    let (reader, mut writer) = pipe()?;
    let buffer = low_page()?;
    let call = Call::start(i64::from(READ), move || {
        // SAFETY: the page holds what is read.
        let got = unsafe { int80(READ, reader.as_raw_fd() as u64, buffer.as_mut_ptr() as u64, 8) };
        (got, buffer[0], buffer[1])
    })?;
    let start = Instant::now();
    let time = low_page()?;
    time[0] = 2;
    let sleeper = Call::start(i64::from(NANOSLEEP), move || {
        // SAFETY: the page begins with the 32-bit time; the remaining time is not asked for.
        let done = unsafe { int80(NANOSLEEP, time.as_mut_ptr() as u64, 0, 0) };
        (done, start.elapsed())
    })?;
    gate.checkpoint()?;
    call.still()?;
    writer.write_all(b"seventy")?;
    let bytes = (u32::from_ne_bytes(*b"seve"), u32::from_ne_bytes(*b"nty\0"));
    check_eq("the read", call.result()?, (7, bytes.0, bytes.1))?;
    let (done, elapsed) = sleeper.result()?;
    check_eq("the sleep", done, 0)?;
    check(&format!("the sleep was long enough ({elapsed:?})"), elapsed >= Duration::from_secs(2))
}
