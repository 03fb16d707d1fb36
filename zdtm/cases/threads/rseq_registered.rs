//! A thread keeps its registration for restartable sequences: the kernel still writes the processor's number there, and
//! only the same area, length and signature are accepted for it.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_sched::on_each_processor;
use crate::tools_tasks::{Outcome, Word, await_that, gettid, must, outcome};
use std::ffi::{c_int, c_void};

const SIGNATURE: u32 = 0x53a0_5e9a;
const UNREGISTER: c_int = 1;

/// The kernel's `struct rseq`, of its first size: cpu_id_start, cpu_id, rseq_cs (two words), flags and padding.
#[repr(C, align(32))]
struct Area([Word; 8]);

static AREA: Area = Area([const { Word::new() }; 8]);
static OTHER: Area = Area([const { Word::new() }; 8]);
static STEP: Word = Word::new();
static FAILED: Word = Word::new();

fn rseq(area: &'static Area, flags: c_int, signature: u32) -> Outcome {
    // SAFETY: the areas are static, aligned and never used for anything else.
    outcome(unsafe { libc::syscall(libc::SYS_rseq, area.0[0].as_ptr(), 32u32, flags, signature) })
}

fn check_registration() -> Verdict {
    check_eq("registering again", rseq(&AREA, 0, SIGNATURE), (-1, libc::EBUSY))?;
    check_eq("registering with another signature", rseq(&AREA, 0, SIGNATURE + 1), (-1, libc::EPERM))?;
    check_eq("registering another area", rseq(&OTHER, 0, SIGNATURE), (-1, libc::EINVAL))?;
    on_each_processor(|cpu| check_eq("the processor's number in the area", AREA.0[1].get(), cpu))
}

fn life() -> Verdict {
    check_eq("registering", rseq(&AREA, 0, SIGNATURE), (0, 0))?;
    check_registration()?;
    STEP.bump();
    STEP.wait_for(2);
    check_registration()?;
    check_eq("unregistering with another signature", rseq(&AREA, UNREGISTER, 7), (-1, libc::EPERM))?;
    check_eq("unregistering", rseq(&AREA, UNREGISTER, SIGNATURE), (0, 0))
}

extern "C" fn thread(_: *mut c_void) -> c_int {
    if let Err(failure) = life() {
        eprintln!("thread {}: {failure}", gettid());
        FAILED.set(1);
    }
    STEP.set(3);
    // SAFETY: ends this thread alone; it holds nothing.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    0
}

pub fn run(gate: &mut Gate) -> Verdict {
    // A bare thread: the C library would have registered an area of its own for it.
    let stack = vec![0u64; 32768].leak();
    // SAFETY: the top of a leaked vector, aligned as a stack must be.
    let top = unsafe { stack.as_mut_ptr().add(stack.len() - 2) };
    let flags = libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND | libc::CLONE_THREAD;
    // SAFETY: the thread shares the main thread's thread-local memory, which waits meanwhile without using it.
    let tid = must("clone", outcome(unsafe { libc::clone(thread, top.cast(), flags, std::ptr::null_mut()) }))?;
    await_that("the registration", || Ok(STEP.get() != 0))?;
    check_eq("a failure in the thread before", FAILED.get(), 0)?;
    gate.checkpoint()?;
    STEP.bump();
    STEP.wait_for(3);
    await_that("the thread's end", || Ok(!std::path::Path::new(&format!("/proc/self/task/{tid}")).exists()))?;
    check_eq("a failure in the thread", FAILED.get(), 0)
}
