//! Each thread keeps the processors it may run on.
//@ needs: [cpus:2]
use crate::gate::{Gate, Verdict, check};
use crate::tools_threads::{Setup, each_thread};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

fn own() -> Verdict<Vec<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).collect())
}

pub fn run(gate: &mut Gate) -> Verdict {
    let all = own()?;
    check("two processors to choose from", all.len() >= 2)?;
    let setup = |cpu: usize| -> Setup {
        Box::new(move || {
            let mut set = CpuSet::new();
            set.set(cpu)?;
            Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
        })
    };
    each_thread(gate, vec![setup(all[0]), setup(all[1])], own)
}
