//! A process whose main thread has exited lives on in its other threads: the leader stays a zombie in /proc, the parent
//! cannot reap it, and the process ends with the code that a thread gives.
//@ needs: [kernel:pidfd_thread]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_tasks::{Word, await_state, child, gettid, task_state, wait_status};
use std::thread::spawn;

pub fn run(gate: &mut Gate) -> Verdict {
    let (arrived, go) = (Word::shared()?, Word::shared()?);
    let tids = Word::shared_many(3)?;
    let process = child(gate, |_| {
        for tid in tids {
            spawn(move || {
                tid.set(gettid() as u32);
                arrived.bump();
                go.wait_for(1);
                let same = tid.get() == gettid() as u32;
                arrived.bump();
                go.wait_for(if same { 2 } else { u32::MAX });
                // SAFETY: _exit only ends the process.
                unsafe { libc::_exit(21) }
            });
        }
        // SAFETY: the main thread holds nothing that the others need.
        unsafe { libc::syscall(libc::SYS_exit, 3) };
        unreachable!("SYS_exit does not return")
    })?;
    arrived.wait_for(3);
    await_state(process, "Z")?;
    gate.checkpoint()?;
    check_eq("the leader's state", task_state(process)?, "Z".to_owned())?;
    check_eq("reaping while threads live", wait_status(process.as_raw(), libc::WNOHANG), (0, 0))?;
    let mut seen: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{process}/task"))? {
        seen.push(entry?.file_name().to_string_lossy().into_owned());
    }
    let mut wanted: Vec<String> = tids.iter().map(|t| t.get().to_string()).chain([process.to_string()]).collect();
    seen.sort();
    wanted.sort();
    check_eq("the threads", seen, wanted)?;
    go.set(1);
    arrived.wait_for(6);
    go.set(2);
    check_eq("the status", wait_status(process.as_raw(), 0), (i64::from(process.as_raw()), 21 << 8))
}
