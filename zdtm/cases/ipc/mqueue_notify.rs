//! A process that is told of the next message of an empty queue, by a signal with a value; another by nothing.
//@ flavours: [ns]
//@ needs: [kernel:mqueue]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_mqueue::{NEW, await_notice, open, receive, register, send, text};
use nix::sys::signal::{SigSet, Signal};

pub fn run(gate: &mut Gate) -> Verdict {
    let mut set = SigSet::empty();
    set.add(Signal::SIGUSR1);
    set.thread_block()?;
    let (told, silent) = (open(c"/zdtm-told", NEW, 3, 100)?, open(c"/zdtm-silent", NEW, 3, 100)?);
    let value = 0x1234_5678_9abc_usize;
    register(&told, Some((libc::SIGUSR1, value)))?;
    register(&silent, None)?;
    let before = (text(&told)?, text(&silent)?);
    gate.checkpoint()?;
    check_eq("who is told", (text(&told)?, text(&silent)?), before)?;
    send(&told, 3, b"hear")?;
    check_eq("code and value of the signal", await_notice(&set)?, (libc::SI_MESGQ, value))?;
    check_eq("the message", receive(&told)?, (3, b"hear".to_vec()))
}
