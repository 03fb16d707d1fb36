//! A terminal that the caller of the restore supplies, to a tree with a session of its own.
//@ session: terminal
//@ options: --shell-job
//@ dump-options: --external TERMINAL
//@ restore-options: [--inherit-fd, "fd[0]:TERMINAL"]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::target;
use crate::tools_relatives::{arrive, await_word, shared_word};
use crate::tools_terminals::window;
use nix::unistd::setsid;

pub fn run(gate: &mut Gate) -> Verdict {
    let stdin = std::io::stdin();
    let word = shared_word()?;
    let child = gate.fork(|gate| {
        setsid()?;
        let before = (target(&stdin)?, window(&stdin)?);
        arrive(word);
        gate.wait();
        check_eq("path and size", (target(&stdin)?, window(&stdin)?), before)
    })?;
    await_word(word, 1)?;
    gate.checkpoint()?;
    wait_ok(child)
}
