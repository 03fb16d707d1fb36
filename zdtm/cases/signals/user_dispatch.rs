//! A thread whose system calls are turned into signals, as Windows emulators do, keeps that, caught while no call at all
//! is allowed to it: not even one that another makes in its place.
//@ dump-fails: "SYSCALL_USER_DISPATCH"
//@ unseen: a tracer asks for it
//@ needs: [kernel:syscall_user_dispatch, kernel:6.4] # a tracer can ask for it
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_signals::handle_info;
use crate::tools_spin::spin;
use crate::tools_tasks::{Word, outcome};
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicU8, Ordering};

const SET_DISPATCH: c_int = 59;
const DISPATCH_OFF: u64 = 0;
const DISPATCH_ON: u64 = 1;
/// `si_code` of a call that was dispatched.
const DISPATCHED: i32 = 2;

/// Read by the kernel at each call: 0 lets it pass, 1 makes a signal of it.
static SELECTOR: AtomicU8 = AtomicU8::new(0);
static SIGNALS: Word = Word::new();
static CODE: Word = Word::new();

extern "C" fn handler(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // Calls pass again, the return from this handler among them.
    SELECTOR.store(0, Ordering::SeqCst);
    SIGNALS.bump();
    // SAFETY: the kernel passes the signal's information.
    CODE.set(unsafe { (*info).si_code } as u32);
}

fn dispatch(mode: u64) -> (i64, i32) {
    let selector = if mode == DISPATCH_ON { SELECTOR.as_ptr() as u64 } else { 0 };
    // SAFETY: the selector is static.
    outcome(unsafe { libc::prctl(SET_DISPATCH, mode, 0u64, 0u64, selector) })
}

pub fn run(gate: &mut Gate) -> Verdict {
    handle_info(libc::SIGSYS, handler, 0)?;
    let (on, during, off) = spin(gate, |words| {
        let on = dispatch(DISPATCH_ON);
        words.running.set(1);
        SELECTOR.store(1, Ordering::SeqCst);
        while words.stop.get() == 0 {
            std::hint::spin_loop();
        }
        let before = SIGNALS.get();
        // SAFETY: the call takes nothing, and does not happen.
        unsafe { libc::syscall(libc::SYS_getppid) };
        let during = (before, SIGNALS.get(), SELECTOR.load(Ordering::SeqCst), CODE.get() as i32);
        (on, during, dispatch(DISPATCH_OFF))
    })?;
    check_eq("PR_SET_SYSCALL_USER_DISPATCH", (on, off), ((0, 0), (0, 0)))?;
    check_eq("signals before and after a call, selector, code", during, (0, 1, 0, DISPATCHED))
}
