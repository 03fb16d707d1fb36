//! sort, with half of its input read and parts of it in temporary files, sorts all of it.
//@ needs: [prog:sort]
//@ timeout: 60
use crate::gate::{Gate, Verdict, check, fail};
use crate::tools_memory::mix;
use crate::tools_programs::Program;
use crate::tools_tasks::{await_call, until};
use std::io::Write;

const LINES: u64 = 60_000;

fn temporary_files(gate: &Gate) -> Verdict<usize> {
    let names = std::fs::read_dir(gate.dir())?.map(|e| Ok(e?.file_name())).collect::<Verdict<Vec<_>>>()?;
    Ok(names.iter().filter(|n| n.to_string_lossy().starts_with("sort")).count())
}

fn feed(program: &mut Program, numbers: &[u64]) -> Verdict {
    let text: String = numbers.iter().map(|n| format!("{n}\n")).collect();
    match &mut program.input {
        Some(input) => Ok(input.write_all(text.as_bytes())?),
        None => fail("the program has no input"),
    }
}

pub fn run(gate: &mut Gate) -> Verdict {
    let mut program = Program::start_fed(gate, "sort", &["-n", "-S", "256K", "--parallel=2"])?;
    let numbers: Vec<u64> = (0..LINES).map(|i| mix(3, i) >> 20).collect();
    feed(&mut program, &numbers[..numbers.len() / 2])?;
    until("temporary files", || Ok(temporary_files(gate)? > 1))?;
    await_call(program.pid, libc::SYS_read)?;
    gate.checkpoint()?;
    feed(&mut program, &numbers[numbers.len() / 2..])?;
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    let want: String = sorted.iter().map(|n| format!("{n}\n")).collect();
    check("the output is the whole input in order", program.finish(gate)? == want)
}
