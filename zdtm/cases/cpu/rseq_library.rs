//! The C library's own registration for restartable sequences, in the main thread and in another: the kernel still
//! writes the processor's number there.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_rseq::area;
use crate::tools_sched::on_each_processor;
use crate::tools_threads::{Setup, each_thread};

/// The address of the area, after the processor's number in it was seen right on each processor.
fn observe() -> Verdict<usize> {
    let area = area();
    on_each_processor(|cpu| {
        // SAFETY: the kernel keeps the number in the second word of the area.
        let seen = unsafe { std::ptr::read_volatile((area as *const u32).add(1)) };
        check_eq("the processor's number", seen, cpu)
    })?;
    Ok(area)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let setup = || -> Setup { Box::new(|| Ok(())) };
    each_thread(gate, vec![setup(), setup()], observe)
}
