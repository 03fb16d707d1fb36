//! Two processes that share one working directory, root and umask (CLONE_FS) still do; a third has its own.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_relatives::{arrive, await_word, fork_sharing, shared_word};
use nix::sys::stat::{Mode, umask};
use std::env::{current_dir, set_current_dir};
use std::fs::create_dir;

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let (first, second) = (gate.path("first"), gate.path("second"));
    create_dir(&first)?;
    create_dir(&second)?;
    set_current_dir(&first)?;
    umask(Mode::from_bits_truncate(0o031));
    let sharer = fork_sharing(gate, libc::CLONE_FS, |gate| {
        arrive(word);
        gate.wait();
        await_word(word, 3)?;
        check_eq("the sharer's directory", current_dir()?, second.clone())?;
        check_eq("the sharer's umask", umask(Mode::from_bits_truncate(0o056)).bits(), 0o045)?;
        arrive(word);
        Ok(())
    })?;
    let apart = gate.fork(|gate| {
        arrive(word);
        gate.wait();
        await_word(word, 4)?;
        check_eq("the directory of a process apart", current_dir()?, first.clone())?;
        check_eq("the umask of a process apart", umask(Mode::empty()).bits(), 0o031)
    })?;
    await_word(word, 2)?;
    gate.checkpoint()?;
    check_eq("the directory", current_dir()?, first.clone())?;
    set_current_dir(&second)?;
    check_eq("the umask", umask(Mode::from_bits_truncate(0o045)).bits(), 0o031)?;
    arrive(word);
    await_word(word, 4)?;
    check_eq("the umask set by the sharer", umask(Mode::empty()).bits(), 0o056)?;
    wait_ok(sharer)?;
    wait_ok(apart)
}
