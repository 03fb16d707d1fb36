//! Threads of a real-time policy keep the nice value that waits for their return to the normal one.
//@ needs: [cap:sys_nice]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_sched::{Attributes, own_attributes, set_own_attributes};
use crate::tools_tasks::Word;
use crate::tools_threads::{join, spawn};

pub fn run(gate: &mut Gate) -> Verdict {
    let (arrived, go) = (Word::shared()?, Word::shared()?);
    let mut threads = Vec::new();
    for (policy, nice) in [(libc::SCHED_FIFO, 7), (libc::SCHED_RR, -3), (libc::SCHED_FIFO, 0)] {
        threads.push(spawn(move || {
            set_own_attributes(&Attributes { nice, ..Attributes::default() })?;
            set_own_attributes(&Attributes { policy: policy as u32, priority: 5, ..Attributes::default() })?;
            arrived.bump();
            go.wait_for(1);
            check_eq("the policy", own_attributes()?.policy, policy as u32)?;
            // SAFETY: integers only.
            let shown = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
            check_eq("the nice value", shown, nice)?;
            // SAFETY: the parameters outlive the call.
            let done =
                unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &libc::sched_param { sched_priority: 0 }) };
            check_eq("back to the normal policy", done, 0)?;
            check_eq("the nice value there", own_attributes()?.nice, nice)
        })?);
    }
    arrived.wait_for(3);
    gate.checkpoint()?;
    go.set(1);
    threads.into_iter().try_for_each(|thread| join(thread)?)
}
