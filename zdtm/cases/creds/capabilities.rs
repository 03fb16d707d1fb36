//! All five capability sets, each with other contents: some capabilities permitted but not effective, some inheritable
//! only, a bounding set with holes, ambient ones; root without any.
//@ needs: [cap:setpcap]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_creds::{Setup, each_child, must_call, permitted, set_capabilities};
use crate::tools_tasks::{must, outcome, prctl};
use crate::tools_threads::own_status;

fn observe() -> Verdict<Vec<String>> {
    own_status(&["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "Uid"])
}

/// Takes a capability out of the bounding set.
fn drop_bound(capability: u64) -> Verdict {
    must("PR_CAPBSET_DROP", prctl(libc::PR_CAPBSET_DROP, capability)).map(drop)
}

fn raise_ambient(capability: u64) -> Verdict {
    // SAFETY: the call takes numbers only.
    let done = unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, capability, 0u64, 0u64) };
    must("PR_CAP_AMBIENT_RAISE", outcome(done)).map(drop)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let all = permitted()?;
    let five: Setup = Box::new(move || {
        (20..24).try_for_each(drop_bound)?;
        drop_bound(0)?;
        let kept = all & 0xffff_ff00;
        set_capabilities([kept & 0x00ff_ff00, kept, 0x0000_ffe0])?;
        raise_ambient(13)?;
        raise_ambient(9)?;
        check_eq("the ambient set", own_status(&["CapAmb"])?, vec![format!("{:016x}", 1 << 13 | 1 << 9)])
    });
    let bare_root: Setup = Box::new(|| {
        for capability in (0..64).filter(|c| prctl(libc::PR_CAPBSET_READ, *c) == (1, 0)) {
            drop_bound(capability)?;
        }
        set_capabilities([0; 3])?;
        check_eq("the sets", own_status(&["CapPrm", "CapEff", "CapBnd"])?, vec!["0".repeat(16); 3])
    });
    let user: Setup = Box::new(move || {
        // An ordinary user with some capabilities, kept through the change of ids.
        must("PR_SET_KEEPCAPS", prctl(libc::PR_SET_KEEPCAPS, 1))?;
        must_call(libc::SYS_setresuid, [1000, 1000, 1000])?;
        let some = all & 0x3_0000_2401;
        set_capabilities([some & 0x3_0000_0001, some, some])?;
        raise_ambient(10)
    });
    let one_less: Setup = Box::new(move || set_capabilities([all & !(1 << 21), all & !(1 << 21), 1 << 21]));
    each_child(gate, vec![five, bare_root, user, one_less], observe)
}
