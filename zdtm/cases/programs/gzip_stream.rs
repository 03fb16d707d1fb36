//! gzip, tee and gzip -d in a pipeline, in the middle of a stream, pass on every byte.
//@ needs: [prog:gzip, prog:tee, prog:sh]
//@ witness: -pos -size # the stream moves on until the pipes are empty
//@ timeout: 60
use crate::gate::{Gate, Verdict, check};
use crate::tools_memory::mix;
use crate::tools_programs::Program;
use crate::tools_relatives::until;

pub fn run(gate: &mut Gate) -> Verdict {
    let mut program = Program::start_fed(gate, "sh", &["-c", "gzip -c | tee copy.gz | gzip -dc"])?;
    // Letters of which some are more likely than others: they can be compressed, but not to nothing.
    let text: String =
        (0..4_000_000).map(|i| char::from(b'a' + (mix(9, i) % 26 * (mix(8, i) % 26) / 25) as u8)).collect();
    let (first, second) = text.split_at(text.len() / 2);
    program.feed(first)?;
    until("the stream to get through", || Ok(std::fs::metadata(gate.path("output"))?.len() > 100_000))?;
    gate.checkpoint()?;
    program.feed(second)?;
    check("what comes out is what went in", program.finish(gate)? == text)?;
    let copy = std::process::Command::new("gzip").args(["-dc", "copy.gz"]).output()?;
    check("the compressed copy is whole", copy.stdout == text.as_bytes())
}
