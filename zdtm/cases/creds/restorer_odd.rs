//! Restored by an engine with odd attributes, a process has none of them: it has what it had, which is mostly the default.
//@ restorer: odd
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::status_field;
use crate::tools_creds::{call, must_call};
use crate::tools_rlimits::get_limit;
use crate::tools_tasks::{must, prctl};
use std::fs;

const GET_MEMORY_MERGE: i32 = 68;
const IOPRIO_WHO_PROCESS: i64 = 1;

#[derive(Debug, PartialEq)]
struct Attributes {
    domain: i64,
    huge: i64,
    /// −1 where the kernel has no such thing.
    merge: i64,
    mce_kill: i64,
    slack: i64,
    secure: i64,
    nice: i64,
    io: i64,
    limits: [[u64; 2]; 2],
    signals: [String; 2],
    umask: String,
    core_filter: String,
}

fn observe() -> Verdict<Attributes> {
    Ok(Attributes {
        domain: must_call(libc::SYS_personality, [0xffff_ffff, 0, 0])?,
        huge: must("PR_GET_THP_DISABLE", prctl(libc::PR_GET_THP_DISABLE, 0))?,
        merge: prctl(GET_MEMORY_MERGE, 0).0,
        mce_kill: must("PR_MCE_KILL_GET", prctl(libc::PR_MCE_KILL_GET, 0))?,
        slack: must("PR_GET_TIMERSLACK", prctl(libc::PR_GET_TIMERSLACK, 0))?,
        secure: must("PR_GET_SECUREBITS", prctl(libc::PR_GET_SECUREBITS, 0))?,
        nice: must_call(libc::SYS_getpriority, [0, 0, 0])?,
        io: must("ioprio_get", call(libc::SYS_ioprio_get, [IOPRIO_WHO_PROCESS, 0, 0]))?,
        limits: [get_limit(libc::RLIMIT_NOFILE)?, get_limit(libc::RLIMIT_CORE)?],
        signals: [status_field("self", "SigIgn")?, status_field("self", "SigBlk")?],
        umask: status_field("self", "Umask")?,
        core_filter: fs::read_to_string("/proc/self/coredump_filter")?,
    })
}

pub fn run(gate: &mut Gate) -> Verdict {
    let before = observe()?;
    gate.checkpoint()?;
    check_eq("the attributes", observe()?, before)
}
