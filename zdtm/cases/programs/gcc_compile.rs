//! gcc compiles a large file, compiler and assembler joined by a pipe; the program it makes gives the known result.
//@ needs: [prog:gcc]
//@ witness: -tasks -pss # the compiler goes on, and comes to its end
//@ timeout: 120
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_programs::{Program, ticks_of};
use crate::tools_relatives::until;
use std::fmt::Write as _;

const FUNCTIONS: u32 = 900;

/// What function `n` of the program computes.
fn step(n: u32, mut x: u32) -> u32 {
    for i in 0..(x & 15) + 3 {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223 ^ n);
        if x & 64 != 0 {
            x ^= 0x9e37_79b9 >> (i & 7);
        }
    }
    x
}

fn source() -> Verdict<String> {
    let mut text = String::from("#include <stdio.h>\n");
    for n in 0..FUNCTIONS {
        writeln!(
            text,
            "static unsigned f{n}(unsigned x) {{ unsigned i, end = (x & 15) + 3; for (i = 0; i < end; i++) \
             {{ x = x * 1664525u + (1013904223u ^ {n}u); if (x & 64) x ^= 0x9e3779b9u >> (i & 7); }} return x; }}"
        )?;
    }
    text.push_str("int main(void) { unsigned x = 1;\n");
    for n in 0..FUNCTIONS {
        writeln!(text, "x = f{n}(x);")?;
    }
    text.push_str("printf(\"%u\\n\", x); return 0; }\n");
    Ok(text)
}

pub fn run(gate: &mut Gate) -> Verdict {
    std::fs::write(gate.path("large.c"), source()?)?;
    let program = Program::start(gate, "gcc", &["-O2", "-pipe", "-o", "made", "large.c"])?;
    // A tenth of a second into the compilation proper.
    until("the compiler to be at work", || Ok(ticks_of("cc1") >= 10))?;
    gate.checkpoint()?;
    check_eq("what gcc says", program.finish(gate)?, String::new())?;
    let made = std::process::Command::new(gate.path("made")).output()?;
    let result = (0..FUNCTIONS).fold(1, |x, n| step(n, x));
    check_eq("what the program it made says", String::from_utf8(made.stdout)?, format!("{result}\n"))
}
