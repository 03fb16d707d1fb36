//! A fanotify group that decides about accesses to a file decides again.
//@ routes: [once, thrice, kill-engine]
//@ needs: [kernel:fanotify, cap:sys_admin]
use crate::gate::{Gate, Verdict, check_eq, fail};
use crate::tools::wait_ok;
use crate::tools_memfd::error_of;
use crate::tools_relatives::until;
use crate::tools_watch::{fan_events, fanotify, mark};
use std::fs::{self, File};
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let path = gate.path("guarded");
    fs::write(&path, b"")?;
    let group = fanotify(libc::FAN_CLASS_CONTENT)?;
    mark(&group, 0, libc::FAN_OPEN_PERM, &path)?;
    gate.checkpoint()?;
    for (answer, outcome) in [(libc::FAN_DENY, Some(libc::EPERM)), (libc::FAN_ALLOW, None)] {
        let child = gate.fork(|gate| check_eq("the opening", error_of(File::open(gate.path("guarded"))), outcome))?;
        let mut events = Vec::new();
        until("an event", || {
            events.append(&mut fan_events(&group)?);
            Ok(!events.is_empty())
        })?;
        let Some(file) = &events[0].file else { return fail("the event has no file") };
        check_eq("the event", (events.len(), events[0].mask), (1, libc::FAN_OPEN_PERM))?;
        let response = [file.as_raw_fd().to_ne_bytes(), answer.to_ne_bytes()].concat();
        check_eq("the answer", nix::unistd::write(&group, &response)?, response.len())?;
        wait_ok(child)?;
    }
    Ok(())
}
