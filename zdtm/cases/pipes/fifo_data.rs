//! Fifos opened by name keep their data and modes: read-write in one, reader and writer apart, in two processes.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{close_in_child, fcntl, flags, read_once, target, write_once};
use crate::tools_relatives::{arrive, await_word, shared_word};
use nix::errno::Errno;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let (alone, pair) = (gate.path("alone"), gate.path("pair"));
    mkfifo(&alone, Mode::from_bits_truncate(0o600))?;
    mkfifo(&pair, Mode::from_bits_truncate(0o640))?;
    let both = File::options().read(true).write(true).open(&alone)?;
    write_once(&both, b"by myself")?;
    fcntl(&both, libc::F_SETPIPE_SZ, 1 << 17)?;
    let reader = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&pair)?;
    let child = gate.fork(|gate| {
        close_in_child(&reader);
        let writer = File::options().write(true).open(&pair)?;
        write_once(&writer, b"from the child")?;
        arrive(word);
        gate.wait();
        await_word(word, 2)?;
        write_once(&writer, b"more")
    })?;
    await_word(word, 1)?;
    gate.checkpoint()?;
    check_eq("the paths", (target(&both)?, target(&reader)?), (alone.clone(), pair.clone()))?;
    check_eq("the capacity", fcntl(&both, libc::F_GETPIPE_SZ, 0)?, 1 << 17)?;
    check_eq("access modes", (flags(&both)? & 3, flags(&reader)? & 3), (libc::O_RDWR, libc::O_RDONLY))?;
    check_eq("what one process wrote itself", read_once(&both, 100)?, b"by myself".to_vec())?;
    check_eq("what the child wrote", read_once(&reader, 100)?, b"from the child".to_vec())?;
    check_eq("nothing more while it has it open", read_once(&reader, 100), Err(Errno::EAGAIN))?;
    arrive(word);
    wait_ok(child)?;
    check_eq("what the child wrote afterwards", read_once(&reader, 100)?, b"more".to_vec())?;
    check_eq("the end", read_once(&reader, 100)?, vec![])?;
    // A stranger by name reaches the same fifo.
    let writer = File::options().write(true).open(&pair)?;
    write_once(&writer, b"new")?;
    check_eq("what a new writer wrote", read_once(&reader, 100)?, b"new".to_vec())
}
