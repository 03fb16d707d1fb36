//! Terminals keep their numbers, also with gaps between them, and the next one gets the lowest that is free.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{read_once, target, write_once};
use crate::tools_terminals::{get, pair, plain};

pub fn run(gate: &mut Gate) -> Verdict {
    let mut pairs = Vec::new();
    for _ in 0..12 {
        pairs.push(pair()?);
    }
    for gap in [10, 7, 6, 2, 0] {
        drop(pairs.remove(gap));
    }
    let numbers = |pairs: &[(std::os::fd::OwnedFd, std::os::fd::OwnedFd)]| {
        let number = |(master, slave): &(_, _)| Verdict::Ok((get(master, libc::TIOCGPTN)?, target(slave)?));
        pairs.iter().map(number).collect::<Verdict<Vec<_>>>()
    };
    let before = numbers(&pairs)?;
    check_eq("the first number", before[0].0, 1)?;
    gate.checkpoint()?;
    check_eq("numbers and paths", numbers(&pairs)?, before)?;
    for (n, (master, slave)) in pairs.iter().enumerate() {
        plain(slave)?;
        write_once(slave, &[n as u8])?;
        check_eq("what the master reads", read_once(master, 10)?, vec![n as u8])?;
    }
    for free in [0, 2, 6, 7, 10, 12] {
        let next = pair()?;
        check_eq("the next number", get(&next.0, libc::TIOCGPTN)?, free)?;
        pairs.push(next);
    }
    Ok(())
}
