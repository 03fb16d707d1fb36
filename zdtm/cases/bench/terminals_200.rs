//! Shape of a benchmark: a process with 200 pseudo terminals, both sides of each.
//@ timeout: 120
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{read_once, write_once};
use crate::tools_terminals::{pair, set_window, window};

pub fn run(gate: &mut Gate) -> Verdict {
    crate::tools_bench::many_descriptors()?;
    let mut pairs = Vec::new();
    for n in 0..200 {
        let (master, slave) = pair()?;
        set_window(&master, [n, 80, 0, 0])?;
        pairs.push((master, slave));
    }
    gate.checkpoint()?;
    for (n, (master, slave)) in (0..).zip(&pairs) {
        check_eq("the size of a window", window(slave)?, [n, 80, 0, 0])?;
        write_once(master, b"x\n")?;
        check_eq("what a slave reads", read_once(slave, 10)?, b"x\n".to_vec())?;
    }
    Ok(())
}
