//! Each thread keeps its own user and group ids, supplementary groups and capability sets, set by plain system calls
//! behind the C library's back.
//@ needs: [cap:setuid, cap:setgid, cap:setpcap]
use crate::gate::{Gate, Verdict};
use crate::tools_tasks::{must, outcome, prctl};
use crate::tools_threads::{Setup, each_thread, own_status};

fn observe() -> Verdict<Vec<String>> {
    own_status(&["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"])
}

/// One system call that takes numbers only.
fn call(nr: i64, a: i64, b: i64, c: i64) -> Verdict {
    // SAFETY: callers pass calls whose arguments are numbers.
    must(&format!("system call {nr}"), outcome(unsafe { libc::syscall(nr, a, b, c) })).map(drop)
}

fn groups(list: &[u32]) -> Verdict {
    // SAFETY: the list is valid for its length.
    let done = unsafe { libc::syscall(libc::SYS_setgroups, list.len(), list.as_ptr()) };
    must("setgroups", outcome(done)).map(drop)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let user: Setup = Box::new(|| {
        groups(&[7, 5, 100_000])?;
        call(libc::SYS_setresgid, 10, 20, 30)?;
        call(libc::SYS_setresuid, 1, 2, 3)
    });
    let keeper: Setup = Box::new(|| {
        must("PR_SET_KEEPCAPS", prctl(libc::PR_SET_KEEPCAPS, 1))?;
        groups(&[])?;
        call(libc::SYS_setresuid, 1000, 1000, 1000)
    });
    let limited: Setup = Box::new(|| {
        must("PR_CAPBSET_DROP", prctl(libc::PR_CAPBSET_DROP, 12))?;
        must("PR_SET_NO_NEW_PRIVS", prctl(libc::PR_SET_NO_NEW_PRIVS, 1)).map(drop)
    });
    let saved: Setup = Box::new(|| {
        call(libc::SYS_setresuid, -1, 4242, 0)?;
        call(libc::SYS_setfsuid, 0, 0, 0).or(Ok(()))
    });
    each_thread(gate, vec![user, keeper, limited, saved], observe)
}
