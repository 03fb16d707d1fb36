//! Supplementary groups: one, many out of order, as many as the kernel allows; and none where there were some.
//@ needs: [cap:setgid]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_creds::{Setup, each_child, set_groups};
use nix::unistd::getgroups;

fn observe() -> Verdict<Vec<u32>> {
    Ok(getgroups()?.into_iter().map(|g| g.as_raw()).collect())
}

pub fn run(gate: &mut Gate) -> Verdict {
    set_groups(&[4, 20, 27])?;
    let setup = |groups: Vec<u32>| -> Setup {
        Box::new(move || {
            set_groups(&groups)?;
            let mut wanted = groups;
            let mut got = observe()?;
            got.sort_unstable();
            wanted.sort_unstable();
            check_eq("the groups set", got, wanted)
        })
    };
    let many: Vec<u32> = (0..1000).map(|i| (i * 7919) % 4_000_003).collect();
    let most: Vec<u32> = (0..65_536).map(|i| 0xffff_0000 - i).collect();
    each_child(gate, vec![setup(vec![]), setup(vec![99]), setup(many), setup(most)], observe)
}
