//! The NUMA policy that mbind gave to an area stays with it.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_memory::Area;
use nix::errno::Errno;

const MPOL_DEFAULT: i32 = 0;
const MPOL_PREFERRED: i32 = 1;
const MPOL_BIND: i32 = 2;
const MPOL_INTERLEAVE: i32 = 3;
const MPOL_F_ADDR: usize = 2;

fn bind(area: &Area, policy: i32) -> Result<(), Errno> {
    let nodes: u64 = 1;
    // SAFETY: the mask outlives the call and has the 64 bits announced.
    let bound = unsafe {
        libc::syscall(libc::SYS_mbind, area.at(0), area.at(area.pages()) - area.at(0), policy, &raw const nodes, 64, 0)
    };
    Errno::result(bound).map(drop)
}

fn policy(area: &Area) -> Result<(i32, u64), Errno> {
    let (mut mode, mut nodes) = (0i32, [0u64; 16]);
    // SAFETY: both outlive the call; the mask has the 1024 bits announced.
    let got = unsafe {
        libc::syscall(libc::SYS_get_mempolicy, &raw mut mode, nodes.as_mut_ptr(), 1024, area.at(0), MPOL_F_ADDR)
    };
    Errno::result(got).map(|_| (mode, nodes[0]))
}

pub fn run(gate: &mut Gate) -> Verdict {
    let area = Area::private(8)?;
    area.fill(1);
    let policies = [MPOL_BIND, MPOL_PREFERRED, MPOL_INTERLEAVE];
    for (n, mode) in policies.iter().enumerate() {
        bind(&area.part(n * 2..n * 2 + 2), *mode)?;
    }
    gate.checkpoint()?;
    for (n, mode) in policies.iter().enumerate() {
        check_eq("mode and nodes", policy(&area.part(n * 2..n * 2 + 2))?, (*mode, 1))?;
    }
    check_eq("the policy of the rest", policy(&area.part(6..8))?, (MPOL_DEFAULT, 0))?;
    area.check_fill("the data", 1)
}
