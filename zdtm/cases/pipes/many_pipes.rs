//! Three hundred pipes, each with its own data, between a process and its child.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{read_once, write_once};
use crate::tools_relatives::{arrive, await_word, shared_word};
use nix::unistd::pipe;

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let pipes = (0..300).map(|_| pipe()).collect::<Result<Vec<_>, _>>()?;
    let child = gate.fork(|gate| {
        for (n, (_, writer)) in pipes.iter().enumerate() {
            write_once(writer, format!("child {n} ").as_bytes())?;
        }
        arrive(word);
        gate.wait();
        await_word(word, 2)?;
        for (n, (reader, _)) in pipes.iter().enumerate() {
            let text = String::from_utf8(read_once(reader, 100)?)?;
            check_eq("what is in a pipe", text, format!("child {n} parent {n}"))?;
        }
        Ok(())
    })?;
    await_word(word, 1)?;
    gate.checkpoint()?;
    for (n, (_, writer)) in pipes.iter().enumerate() {
        write_once(writer, format!("parent {n}").as_bytes())?;
    }
    arrive(word);
    wait_ok(child)
}
