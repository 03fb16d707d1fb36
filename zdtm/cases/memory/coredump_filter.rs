//! Which areas a core dump would hold (/proc/self/coredump_filter) stays, apart in parent and child.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_relatives::{arrive, await_word, shared_word};
use std::fs;

const FILTER: &str = "/proc/self/coredump_filter";

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    fs::write(FILTER, "0x7e")?;
    let child = gate.fork(|gate| {
        fs::write(FILTER, "0x1")?;
        arrive(word);
        gate.wait();
        check_eq("the child's filter", fs::read_to_string(FILTER)?, "00000001\n".to_owned())
    })?;
    await_word(word, 1)?;
    gate.checkpoint()?;
    check_eq("the filter", fs::read_to_string(FILTER)?, "0000007e\n".to_owned())?;
    wait_ok(child)
}
