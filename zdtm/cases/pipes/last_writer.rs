//! A pipe with writers in several processes and dups of one ends only when the last of them is gone.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{close_in_child, fcntl, read_once, write_once};
use crate::tools_relatives::{arrive, await_word, shared_word};
use nix::errno::Errno;
use nix::unistd::{dup, pipe};

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let (reader, writer) = pipe()?;
    fcntl(&reader, libc::F_SETFL, libc::O_NONBLOCK)?;
    let twin = dup(&writer)?;
    let child = gate.fork(|gate| {
        close_in_child(&writer);
        arrive(word);
        gate.wait();
        await_word(word, 2)?;
        write_once(&twin, b"child")?;
        Ok(())
    })?;
    drop(twin);
    await_word(word, 1)?;
    gate.checkpoint()?;
    check_eq("reading while there are two writers", read_once(&reader, 9), Err(Errno::EAGAIN))?;
    drop(writer);
    check_eq("reading while the child has one", read_once(&reader, 9), Err(Errno::EAGAIN))?;
    arrive(word);
    wait_ok(child)?;
    check_eq("what the child wrote", read_once(&reader, 9)?, b"child".to_vec())?;
    check_eq("the end", read_once(&reader, 9)?, vec![])
}
