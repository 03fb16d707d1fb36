//! A fifo that was renamed has its new name; one whose name a new fifo took stays apart from it.
//@ witness: -target # the name is taken by another file, which nobody may touch: the kernel then shows a name of ours
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{read_once, target, write_once};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs::{self, File};

pub fn run(gate: &mut Gate) -> Verdict {
    let open = |name: &str| -> Verdict<File> {
        mkfifo(&gate.path(name), Mode::from_bits_truncate(0o600))?;
        Ok(File::options().read(true).write(true).open(gate.path(name))?)
    };
    let renamed = open("old")?;
    fs::rename(gate.path("old"), gate.path("new"))?;
    let first = open("name")?;
    fs::remove_file(gate.path("name"))?;
    let second = open("name")?;
    write_once(&renamed, b"renamed")?;
    write_once(&first, b"first")?;
    write_once(&second, b"second")?;
    gate.checkpoint()?;
    check_eq("the new path", target(&renamed)?, gate.path("new"))?;
    check_eq("data of the renamed", read_once(&renamed, 20)?, b"renamed".to_vec())?;
    check_eq("data of the first", read_once(&first, 20)?, b"first".to_vec())?;
    write_once(&File::options().write(true).open(gate.path("name"))?, b" by name")?;
    check_eq("data of the second", read_once(&second, 20)?, b"second by name".to_vec())
}
