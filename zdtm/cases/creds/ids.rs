//! Real, effective, saved and file system ids of user and group, all different, and root with a file system id of its
//! own.
//@ needs: [cap:setuid, cap:setgid]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_creds::{Setup, call, each_child, must_call};
use crate::tools_tasks::{must, prctl};
use crate::tools_threads::own_status;

fn observe() -> Verdict<Vec<String>> {
    own_status(&["Uid", "Gid", "CapEff", "CapPrm"])
}

pub fn run(gate: &mut Gate) -> Verdict {
    let all_different: Setup = Box::new(|| {
        must("PR_SET_KEEPCAPS", prctl(libc::PR_SET_KEEPCAPS, 1))?;
        must_call(libc::SYS_setresgid, [11, 22, 33])?;
        must_call(libc::SYS_setfsgid, [33, 0, 0])?;
        must_call(libc::SYS_setresuid, [1, 2, 3])?;
        must_call(libc::SYS_setfsuid, [3, 0, 0])?;
        check_eq("the ids", own_status(&["Uid", "Gid"])?, vec!["1\t2\t3\t3".into(), "11\t22\t33\t33".into()])
    });
    let root_for_files: Setup = Box::new(|| {
        call(libc::SYS_setfsuid, [65_534, 0, 0]);
        call(libc::SYS_setfsgid, [4_294_967_294, 0, 0]);
        check_eq("the ids", own_status(&["Uid", "Gid"])?, vec!["0\t0\t0\t65534".into(), "0\t0\t0\t4294967294".into()])
    });
    let saved_root: Setup = Box::new(|| must_call(libc::SYS_setresuid, [1000, 1000, 0]).map(drop));
    let large: Setup = Box::new(|| must_call(libc::SYS_setresuid, [-2, 0x7fff_ffff, 100_000]).map(drop));
    let back: Setup = Box::new(|| {
        // Effective root again without all of its capabilities.
        must_call(libc::SYS_setresuid, [5, 5, 0])?;
        must_call(libc::SYS_setresuid, [-1, 0, -1]).map(drop)
    });
    each_child(gate, vec![all_different, root_for_files, saved_root, large, back], observe)
}
