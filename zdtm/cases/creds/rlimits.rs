//! All sixteen resource limits, soft and hard, each with values of its own.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_creds::{Setup, each_child};
use crate::tools_rlimits::{get_limit, set_limit};

fn observe() -> Verdict<(Vec<[u64; 2]>, String)> {
    let limits = (0..16).map(get_limit).collect::<Verdict<_>>()?;
    Ok((limits, std::fs::read_to_string("/proc/self/limits")?))
}

/// Soft and hard values in the order of the resources' numbers; those that are 0 cannot be more here.
const VALUES: [[u64; 2]; 16] = [
    [3600, 7200],
    [1 << 40, (1 << 41) + 1],
    [1 << 42, (1 << 42) + 4096],
    [4 << 20, 64 << 20],
    [1, 12_345],
    [1 << 30, 1 << 31],
    [5000, 6000],
    [300, 4000],
    [4096, 1 << 20],
    [1 << 45, 1 << 46],
    [10, 20],
    [1000, 2000],
    [3000, 100_000],
    [0, 0],
    [0, 0],
    [1_000_000, 2_000_000],
];

pub fn run(gate: &mut Gate) -> Verdict {
    let hard: Setup = Box::new(|| {
        for (resource, [soft, hard]) in (0..).zip(VALUES) {
            let allowed = get_limit(resource)?[1];
            set_limit(resource, [soft.min(allowed), hard.min(allowed)])?;
        }
        Ok(())
    });
    let soft: Setup = Box::new(|| {
        for (resource, [soft, _]) in (0..).zip(VALUES) {
            let hard = get_limit(resource)?[1];
            set_limit(resource, [(soft + 1).min(hard), hard])?;
        }
        Ok(())
    });
    let none: Setup = Box::new(|| {
        for resource in [libc::RLIMIT_CORE, libc::RLIMIT_LOCKS, libc::RLIMIT_MEMLOCK, libc::RLIMIT_FSIZE] {
            set_limit(resource, [0, 0])?;
        }
        check_eq("a limit of nothing", get_limit(libc::RLIMIT_FSIZE)?, [0, 0])
    });
    each_child(gate, vec![hard, soft, none], observe)
}
