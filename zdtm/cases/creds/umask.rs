//! The mask for new files, and its effect.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, child};
use nix::sys::stat::{Mode, umask};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

pub fn run(gate: &mut Gate) -> Verdict {
    let arrived = Word::shared()?;
    let mut children = Vec::new();
    for wanted in [0o000, 0o777, 0o137, 0o001] {
        children.push(child(gate, |gate| {
            umask(Mode::from_bits_truncate(wanted));
            arrived.bump();
            gate.wait();
            let path = gate.path(&format!("made-{wanted:o}"));
            let file = std::fs::File::options().write(true).create_new(true).mode(0o777).open(path)?;
            check_eq("the new file's mode", file.metadata()?.mode() & 0o7777, 0o777 & !wanted)?;
            check_eq("the mask", umask(Mode::empty()).bits(), wanted)
        })?);
    }
    arrived.wait_for(4);
    gate.checkpoint()?;
    children.into_iter().try_for_each(wait_ok)
}
