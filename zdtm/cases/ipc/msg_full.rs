//! A queue that holds more than it may take by now: nothing is lost, and it stays full.
//@ flavours: [ns]
//@ needs: [kernel:sysvipc]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_ipc::{about_queue, check_messages, queue, send};
use nix::errno::Errno;

pub fn run(gate: &mut Gate) -> Verdict {
    let id = queue(libc::IPC_PRIVATE, 0o600)?;
    let texts: Vec<Vec<u8>> = (0..3u8).map(|n| vec![n; 3000]).collect();
    texts.iter().try_for_each(|text| send(id, 1, text))?;
    // SAFETY: the kernel fills the structure in, and reads it.
    unsafe {
        let mut ds = std::mem::zeroed::<libc::msqid_ds>();
        Errno::result(libc::msgctl(id, libc::IPC_STAT, &raw mut ds))?;
        ds.msg_qbytes = 4000;
        Errno::result(libc::msgctl(id, libc::IPC_SET, &raw mut ds))?;
    }
    let before = about_queue(id)?;
    gate.checkpoint()?;
    check_eq("what is known of it", about_queue(id)?, before)?;
    let one = [1u64.to_ne_bytes(), [0; 8]].concat();
    // SAFETY: the buffer holds a type and a byte.
    let sent = Errno::result(unsafe { libc::msgsnd(id, one.as_ptr().cast(), 1, libc::IPC_NOWAIT) });
    check_eq("sending one more", sent, Err(Errno::EAGAIN))?;
    check_messages(id, &texts.iter().map(|text| (1, text.as_slice())).collect::<Vec<_>>())
}
