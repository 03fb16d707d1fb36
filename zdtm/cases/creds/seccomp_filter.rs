//! Filters of system calls, one and several on top of each other: for each call the strictest answer counts, also one
//! that looks at arguments. Children have their parent's and their own.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_creds::{Filter, call, errno};
use crate::tools_tasks::{Outcome, Word, child, must};
use crate::tools_threads::own_status;

/// The calls that the filters are about; they take a number and do no harm.
const CALLS: [i64; 3] = [libc::SYS_getpgid, libc::SYS_sched_get_priority_max, libc::SYS_sched_get_priority_min];

/// How each call ends with the arguments 0 and 1, and what /proc says of the filters.
fn observe() -> Verdict<(Vec<Outcome>, Vec<String>)> {
    let ends = CALLS.iter().flat_map(|nr| [0, 1].map(|argument| call(*nr, [argument, 0, 0])));
    Ok((
        ends.map(|(value, errno)| (value.min(0), errno)).collect(),
        own_status(&["Seccomp", "Seccomp_filters", "NoNewPrivs"])?,
    ))
}

fn stay(gate: &mut Gate, arrived: &Word) -> Verdict {
    let before = observe()?;
    arrived.bump();
    gate.wait();
    check_eq("calls, filters", observe()?, before)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let arrived = Word::shared()?;
    let ends = |list: [u32; 6]| list.map(|errno| (if errno == 0 { 0 } else { -1 }, errno as i32)).to_vec();
    let parent = child(gate, |gate| {
        must("a filter", Filter::deny(&[(CALLS[0], None, errno(123)), (CALLS[1], Some(1), errno(45))]).install(0))?;
        let inner = child(gate, |gate| {
            must(
                "a second filter",
                Filter::deny(&[(CALLS[2], Some(0), errno(67)), (CALLS[0], Some(1), errno(8))]).install(0),
            )?;
            must("a third filter", Filter::deny(&[(CALLS[1], None, errno(90))]).install(0))?;
            check_eq("the calls before", observe()?.0, ends([123, 8, 90, 90, 67, 0]))?;
            stay(gate, arrived)
        })?;
        check_eq("the calls before", observe()?.0, ends([123, 123, 0, 45, 0, 0]))?;
        stay(gate, arrived)?;
        wait_ok(inner)
    })?;
    arrived.wait_for(2);
    gate.checkpoint()?;
    check_eq("the calls without a filter", observe()?.0, ends([0; 6]))?;
    wait_ok(parent)
}
