//! sort, with half of its input read and parts of it in temporary files, sorts all of it.
//@ needs: [prog:sort]
//@ timeout: 60
use crate::gate::{Gate, Verdict, check};
use crate::tools_memory::mix;
use crate::tools_programs::Program;
use crate::tools_relatives::{await_call, until};

const LINES: u64 = 60_000;

fn temporary_files(gate: &Gate) -> Verdict<usize> {
    let names = std::fs::read_dir(gate.dir())?.map(|e| Ok(e?.file_name())).collect::<Verdict<Vec<_>>>()?;
    Ok(names.iter().filter(|n| n.to_string_lossy().starts_with("sort")).count())
}

pub fn run(gate: &mut Gate) -> Verdict {
    let mut program = Program::start_fed(gate, "sort", &["-n", "-S", "256K", "--parallel=2"])?;
    let numbers: Vec<u64> = (0..LINES).map(|i| mix(3, i) >> 20).collect();
    let lines = |part: &[u64]| part.iter().map(|n| format!("{n}\n")).collect::<String>();
    let (first, second) = numbers.split_at(numbers.len() / 2);
    program.feed(&lines(first))?;
    until("temporary files", || Ok(temporary_files(gate)? > 1))?;
    await_call(program.pid, libc::SYS_read)?;
    gate.checkpoint()?;
    program.feed(&lines(second))?;
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    check("the output is the whole input in order", program.finish(gate)? == lines(&sorted))
}
