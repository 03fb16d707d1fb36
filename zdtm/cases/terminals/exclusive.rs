//! Exclusive mode of either side.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_terminals::{get, pair, request};

pub fn run(gate: &mut Gate) -> Verdict {
    let (first, second, third) = (pair()?, pair()?, pair()?);
    request(&first.0, libc::TIOCEXCL, 0)?;
    request(&second.1, libc::TIOCEXCL, 0)?;
    gate.checkpoint()?;
    for ((master, slave), wanted) in [(first, (1, 0)), (second, (0, 1)), (third, (0, 0))] {
        let modes = (get(&master, libc::TIOCGEXCL)?, get(&slave, libc::TIOCGEXCL)?);
        check_eq("the modes of master and slave", modes, wanted)?;
        request(&slave, libc::TIOCNXCL, 0)?;
        check_eq("the mode afterwards", get(&slave, libc::TIOCGEXCL)?, 0)?;
    }
    Ok(())
}
