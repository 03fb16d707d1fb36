//! Each thread keeps its own signal mask: nothing, one signal, all that can be blocked, the C library's own two.
use crate::gate::{Gate, Verdict};
use crate::tools_signals::{change_mask, current_mask};
use crate::tools_threads::{Setup, each_thread};

pub fn run(gate: &mut Gate) -> Verdict {
    change_mask(libc::SIG_SETMASK, 1 << (libc::SIGPIPE - 1));
    let setup = |mask: u64| -> Setup {
        Box::new(move || {
            change_mask(libc::SIG_SETMASK, mask);
            Ok(())
        })
    };
    let masks = [0, u64::MAX, 1, 1 << 31 | 1 << 32, 1 << 63, 0x5555_5555_5555_5555, 1 << (libc::SIGTRAP - 1)];
    each_thread(gate, masks.into_iter().map(setup).collect(), || Ok(current_mask()))
}
