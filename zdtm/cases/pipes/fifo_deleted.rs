//! A deleted fifo, in two processes, with data in it, stays common to both, and nothing comes back at its path.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{read_once, stat, target, write_once};
use crate::tools_relatives::{arrive, await_word, shared_word};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs::{self, File};

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let path = gate.path("fifo");
    mkfifo(&path, Mode::from_bits_truncate(0o620))?;
    let both = File::options().read(true).write(true).open(&path)?;
    let child = gate.fork(|gate| {
        let writer = File::options().write(true).open(&path)?;
        write_once(&writer, b"early ")?;
        arrive(word);
        gate.wait();
        write_once(&writer, b"late")?;
        arrive(word);
        Ok(())
    })?;
    await_word(word, 1)?;
    fs::remove_file(&path)?;
    let before = stat(&both)?.st_mode;
    gate.checkpoint()?;
    await_word(word, 2)?;
    check_eq("what the child wrote", read_once(&both, 100)?, b"early late".to_vec())?;
    check_eq("mode and links", (stat(&both)?.st_mode, stat(&both)?.st_nlink), (before, 0))?;
    let name = format!("{} (deleted)", path.display());
    check_eq("the path", target(&both)?.to_string_lossy().into_owned(), name)?;
    check("nothing lies there", !path.exists())?;
    wait_ok(child)
}
