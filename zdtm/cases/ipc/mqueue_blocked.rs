//! Children that wait for a message, and for room for one, go on waiting.
//@ flavours: [ns]
//@ needs: [kernel:mqueue]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_mqueue::{NEW, open, receive, send};
use crate::tools_relatives::await_call;

pub fn run(gate: &mut Gate) -> Verdict {
    let (empty, full) = (open(c"/zdtm-empty", NEW, 1, 100)?, open(c"/zdtm-full", NEW, 1, 100)?);
    send(&full, 1, b"in the way")?;
    let receiver = gate.fork(|_| check_eq("the message", receive(&empty)?, (7, b"at last".to_vec())))?;
    let sender = gate.fork(|_| Ok(send(&full, 2, b"waited")?))?;
    await_call(receiver, libc::SYS_mq_timedreceive)?;
    await_call(sender, libc::SYS_mq_timedsend)?;
    gate.checkpoint()?;
    send(&empty, 7, b"at last")?;
    wait_ok(receiver)?;
    check_eq("the first", receive(&full)?, (1, b"in the way".to_vec()))?;
    check_eq("the second", receive(&full)?, (2, b"waited".to_vec()))?;
    wait_ok(sender)
}
