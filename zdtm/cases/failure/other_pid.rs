//! A child in a pid namespace of its own is refused with a word about it; it stays number one there.
//@ dump-fails: pid namespace
//@ needs: [cap:sys_admin]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_relatives::{arrive, await_word, fork_sharing, shared_word};

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let child = fork_sharing(gate, libc::CLONE_NEWPID, |gate| {
        arrive(word);
        gate.wait();
        // SAFETY: asks the kernel; nothing else.
        check_eq("the child's pid", unsafe { libc::syscall(libc::SYS_getpid) }, 1)
    })?;
    await_word(word, 1)?;
    gate.checkpoint()?;
    wait_ok(child)
}
