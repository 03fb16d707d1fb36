//! The settings of an IPC namespace; objects that are larger than what may be made by now.
//@ flavours: [ns]
//@ needs: [kernel:sysvipc, kernel:mqueue]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_ipc::{about_segment, queue, segment, send, set};

const SETTINGS: [(&str, &str); 12] = [
    ("kernel/shmmax", "4096"),
    ("kernel/shmall", "7000"),
    ("kernel/shmmni", "77"),
    ("kernel/msgmax", "500"),
    ("kernel/msgmnb", "3000"),
    ("kernel/msgmni", "33"),
    ("kernel/sem", "5 600 50 40"),
    ("fs/mqueue/queues_max", "44"),
    ("fs/mqueue/msg_max", "9"),
    ("fs/mqueue/msgsize_max", "4000"),
    ("fs/mqueue/msg_default", "5"),
    ("fs/mqueue/msgsize_default", "2000"),
];

pub fn run(gate: &mut Gate) -> Verdict {
    let id = segment(libc::IPC_PRIVATE, 9, 0o600)?;
    set(libc::IPC_PRIVATE, 0o600, &[1; 20])?;
    send(queue(libc::IPC_PRIVATE, 0o600)?, 1, &[1; 500])?;
    for (name, value) in SETTINGS {
        std::fs::write(format!("/proc/sys/{name}"), value)?;
    }
    let before = about_segment(id)?;
    gate.checkpoint()?;
    for (name, value) in SETTINGS {
        let now = std::fs::read_to_string(format!("/proc/sys/{name}"))?;
        check_eq(name, now.split_whitespace().collect::<Vec<_>>().join(" "), value.to_owned())?;
    }
    check_eq("the segment", about_segment(id)?, before)
}
