//! Whether a process may be inspected by its own user: asked not to be, no longer after a change of its ids, and again
//! by its own wish.
//@ needs: [cap:setuid]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_creds::{Setup, each_child, must_call};
use crate::tools_tasks::{must, prctl};
use std::os::unix::fs::MetadataExt as _;

/// The setting, the user id, and the owner of the process's files in /proc, which depends on both.
fn observe() -> Verdict<(i64, u32, u32)> {
    let setting = must("PR_GET_DUMPABLE", prctl(libc::PR_GET_DUMPABLE, 0))?;
    Ok((setting, nix::unistd::getuid().as_raw(), std::fs::metadata("/proc/self/status")?.uid()))
}

pub fn run(gate: &mut Gate) -> Verdict {
    let set = |value: u64| must("PR_SET_DUMPABLE", prctl(libc::PR_SET_DUMPABLE, value)).map(drop);
    let hidden: Setup = Box::new(move || set(0));
    let lost: Setup = Box::new(|| {
        must_call(libc::SYS_setresuid, [1000, 1000, 1000])?;
        check_eq("the setting after a change of ids", observe()?.0, 0)
    });
    let regained: Setup = Box::new(move || {
        must_call(libc::SYS_setresuid, [1000, 1000, 1000])?;
        set(1)
    });
    each_child(gate, vec![hidden, lost, regained], observe)
}
