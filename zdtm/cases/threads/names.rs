//! Each thread keeps its own name, also where it differs from the process's and where it looks like a field of `stat`.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_tasks::outcome;
use crate::tools_threads::{Setup, each_thread};

fn observe() -> Verdict<(Vec<u8>, [u8; 16])> {
    let mut name = [0; 16];
    // SAFETY: the kernel writes 16 bytes.
    check_eq("PR_GET_NAME", outcome(unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) }), (0, 0))?;
    Ok((std::fs::read("/proc/thread-self/comm")?, name))
}

pub fn run(gate: &mut Gate) -> Verdict {
    let names = [c"worker", c"", c"x) R 1 1 (", c"fifteen bytes..", c"\xc3\x28\n\t"];
    let setup = |name: &'static std::ffi::CStr| -> Setup {
        Box::new(move || {
            // SAFETY: the kernel reads up to the terminating NUL.
            check_eq("PR_SET_NAME", outcome(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) }), (0, 0))
        })
    };
    each_thread(gate, names.into_iter().map(setup).collect(), observe)
}
