//! Bytes on their way in both directions of a raw terminal, every value among them, held by different processes.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{read_once, write_once};
use crate::tools_relatives::{arrive, await_word, shared_word};
use crate::tools_terminals::{await_bytes, get, pair, raw};

pub fn run(gate: &mut Gate) -> Verdict {
    let (master, slave) = pair()?;
    let word = shared_word()?;
    raw(&slave)?;
    let all: Vec<u8> = (0..=255).collect();
    let back: Vec<u8> = all.iter().rev().copied().collect();
    write_once(&master, &all)?;
    write_once(&slave, &back)?;
    await_bytes(&slave, 256)?;
    await_bytes(&master, 256)?;
    let child = gate.fork(|gate| {
        crate::tools_files::close_in_child(&master);
        arrive(word);
        gate.wait();
        check_eq("bytes for the slave", get(&slave, libc::FIONREAD)?, 256)?;
        check_eq("what the slave reads", read_once(&slave, 1000)?, all.clone())
    })?;
    await_word(word, 1)?;
    drop(slave);
    gate.checkpoint()?;
    check_eq("bytes for the master", get(&master, libc::FIONREAD)?, 256)?;
    check_eq("what the master reads", read_once(&master, 1000)?, back)?;
    wait_ok(child)
}
