//! A chain of processes connected by pipes, with data under way in each, passes everything on in order to the end.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{read_once, write_once};
use crate::tools_relatives::{arrive, await_word, shared_word};
use nix::unistd::pipe;
use std::os::fd::OwnedFd;

const TASKS: usize = 4;

/// Passes each byte on, one higher, until the end.
fn pass_on(reader: &OwnedFd, writer: &OwnedFd) -> Verdict {
    loop {
        let data = read_once(reader, 1)?;
        let [byte] = data[..] else { return Ok(()) };
        write_once(writer, &[byte + 1])?;
    }
}

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let (mut previous, first) = pipe()?;
    write_once(&first, b"A")?;
    let mut children = Vec::new();
    let mut first = Some(first);
    for n in 0..TASKS {
        let (reader, writer) = pipe()?;
        // On their way already: what later tasks will pass on before what comes from the start.
        write_once(&writer, &[b'a' + n as u8])?;
        children.push(gate.fork(|gate| {
            first = None;
            arrive(word);
            gate.wait();
            pass_on(&previous, &writer)
        })?);
        previous = reader;
    }
    await_word(word, TASKS as u32)?;
    gate.checkpoint()?;
    if let Some(first) = first.take() {
        write_once(&first, b"B")?;
    }
    let mut all = Vec::new();
    loop {
        let data = read_once(&previous, 100)?;
        if data.is_empty() {
            break;
        }
        all.extend(data);
    }
    // 'd' lay in the last pipe; 'c' passed one task, 'b' two, 'a' three, "AB" four.
    check_eq("what arrived", String::from_utf8(all)?, "ddddEF".to_owned())?;
    children.into_iter().try_for_each(wait_ok)
}
