//! Filters that turn a call into a signal: the handler still learns which call it was and what the filter said, and a
//! filter whose listener is gone makes its calls fail as unknown.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_creds::{Filter, call, must_call};
use crate::tools_signals::{Info, handle_info};
use crate::tools_tasks::{Word, child, must};
use std::ffi::{c_int, c_void};
use std::sync::Mutex;

/// FILTER_FLAG_NEW_LISTENER of seccomp(2).
const WITH_LISTENER: u64 = 8;

static SEEN: Mutex<Vec<[i32; 4]>> = Mutex::new(Vec::new());

extern "C" fn handler(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel passes 128 bytes of information.
    let info = unsafe { *info.cast::<Info>() };
    if let Ok(mut seen) = SEEN.lock() {
        // Signal, the filter's data, code (SYS_SECCOMP is 1), the call's number.
        seen.push([info.i32(0), info.i32(4), info.i32(8), info.i32(24)]);
    }
}

pub fn run(gate: &mut Gate) -> Verdict {
    let arrived = Word::shared()?;
    let trapped = child(gate, |gate| {
        handle_info(libc::SIGSYS, handler, 0)?;
        must("a filter", Filter::deny(&[(libc::SYS_getpgid, None, libc::SECCOMP_RET_TRAP | 321)]).install(0))?;
        arrived.bump();
        gate.wait();
        call(libc::SYS_getpgid, [0, 0, 0]);
        let wanted = vec![[libc::SIGSYS, 321, 1, libc::SYS_getpgid as i32]];
        check_eq("what the handler saw", std::mem::take(&mut *SEEN.lock()?), wanted)
    })?;
    let unheard = child(gate, |gate| {
        let filter = Filter::deny(&[(libc::SYS_getpgid, None, libc::SECCOMP_RET_USER_NOTIF)]);
        let listener = must("a filter with a listener", filter.install(WITH_LISTENER))?;
        must_call(libc::SYS_close, [listener, 0, 0])?;
        let before = call(libc::SYS_getpgid, [0, 0, 0]);
        check_eq("the call before", before, (-1, libc::ENOSYS))?;
        arrived.bump();
        gate.wait();
        check_eq("a call that nobody listens to", call(libc::SYS_getpgid, [0, 0, 0]), before)
    })?;
    arrived.wait_for(2);
    gate.checkpoint()?;
    wait_ok(trapped)?;
    wait_ok(unheard)
}
