//! Data that splice, tee and vmsplice left in pipes: pages of files and of memory, in odd pieces, copies among pipes.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_files::read_once;
use nix::fcntl::{OFlag, SpliceFFlags, splice, tee, vmsplice};
use nix::unistd::pipe2;
use std::fs::{self, File};
use std::io::IoSlice;

pub fn run(gate: &mut Gate) -> Verdict {
    let contents: Vec<u8> = (0..40_000u32).map(|i| (i / 11) as u8).collect();
    fs::write(gate.path("source"), &contents)?;
    let file = File::open(gate.path("source"))?;
    let make = || pipe2(OFlag::O_NONBLOCK);
    let (one, copy, mixed) = (make()?, make()?, make()?);
    let none = SpliceFFlags::empty();
    let mut offset = 4_000;
    check_eq("bytes spliced", splice(&file, Some(&mut offset), &one.1, None, 10_000, none)?, 10_000)?;
    check_eq("bytes copied", tee(&one.0, &copy.1, 6_000, none)?, 6_000)?;
    check_eq("bytes read before", read_once(&one.0, 1_234)?, contents[4_000..5_234].to_vec())?;
    // Memory, a file and a write in one pipe.
    let memory = vec![b'M'; 3_000];
    check_eq("bytes of memory", vmsplice(&mixed.1, &[IoSlice::new(&memory)], none)?, 3_000)?;
    offset = 39_990;
    check_eq("bytes to the end", splice(&file, Some(&mut offset), &mixed.1, None, 100, none)?, 10)?;
    crate::tools_files::write_once(&mixed.1, b"written")?;
    check_eq("bytes moved", splice(&copy.0, None, &mixed.1, None, 500, none)?, 500)?;
    gate.checkpoint()?;
    check("the rest of the spliced data", read_once(&one.0, 100_000)? == contents[5_234..14_000])?;
    check("the rest of the copy", read_once(&copy.0, 100_000)? == contents[4_500..10_000])?;
    let want = [&memory[..], &contents[39_990..], b"written", &contents[4_000..4_500]].concat();
    check("the mixed pipe", read_once(&mixed.0, 100_000)? == want)?;
    check("the memory that was given", memory.iter().all(|b| *b == b'M'))
}
