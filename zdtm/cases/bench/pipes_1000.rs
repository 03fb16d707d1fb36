//! Shape of a benchmark: a process with 1000 pipes, each with data in it.
//@ timeout: 120
use crate::gate::{Gate, Verdict, check_eq};
use nix::unistd::{pipe, read, write};

pub fn run(gate: &mut Gate) -> Verdict {
    crate::tools_bench::many_descriptors()?;
    let mut pipes = Vec::new();
    for n in 0..1000u32 {
        let (out, into) = pipe()?;
        write(&into, &n.to_ne_bytes())?;
        pipes.push((out, into));
    }
    gate.checkpoint()?;
    for (n, (out, _into)) in pipes.iter().enumerate() {
        let mut got = [0; 8];
        let length = read(out, &mut got)?;
        check_eq("what is in a pipe", &got[..length], &(n as u32).to_ne_bytes()[..])?;
    }
    Ok(())
}
