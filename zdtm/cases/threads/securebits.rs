//! Each thread keeps its own securebits and no_new_privs.
//@ needs: [cap:setpcap]
use crate::gate::{Gate, Verdict};
use crate::tools_tasks::{must, prctl};
use crate::tools_threads::{Setup, each_thread};

fn observe() -> Verdict<[i64; 3]> {
    let get = |name, op| must(name, prctl(op, 0));
    Ok([
        get("PR_GET_SECUREBITS", libc::PR_GET_SECUREBITS)?,
        get("PR_GET_KEEPCAPS", libc::PR_GET_KEEPCAPS)?,
        get("PR_GET_NO_NEW_PRIVS", libc::PR_GET_NO_NEW_PRIVS)?,
    ])
}

pub fn run(gate: &mut Gate) -> Verdict {
    let bits = |value: u64, no_new_privs: bool| -> Setup {
        Box::new(move || {
            must("PR_SET_SECUREBITS", prctl(libc::PR_SET_SECUREBITS, value))?;
            if no_new_privs {
                must("PR_SET_NO_NEW_PRIVS", prctl(libc::PR_SET_NO_NEW_PRIVS, 1))?;
            }
            Ok(())
        })
    };
    // Bits from 0: no-root, its lock, no-setuid-fixup, its lock, keep-caps, its lock, no-ambient-raise, its lock.
    each_thread(
        gate,
        vec![bits(0x01, false), bits(0x0c, true), bits(0x10, false), bits(0xef, true), bits(0x40, false)],
        observe,
    )
}
