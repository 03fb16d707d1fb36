//! Queues that hold messages and tell of the next one that comes to them empty: one by a signal with a value to a process
//! that may only read it, one by nothing. Nobody is told before.
//@ flavours: [ns]
//@ needs: [kernel:mqueue]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_mqueue::{NEW, await_notice, check_messages, open, register, send, text};
use nix::sys::signal::{SigSet, Signal};

pub fn run(gate: &mut Gate) -> Verdict {
    let mut set = SigSet::empty();
    set.add(Signal::SIGUSR2);
    set.thread_block()?;
    let (writer, silent) = (open(c"/zdtm", NEW, 5, 64)?, open(c"/zdtm-silent", NEW | libc::O_NONBLOCK, 3, 100)?);
    let all = [(9, &b"first"[..]), (2, &[7; 64]), (2, b""), (0, b"last")];
    all.iter()
        .rev()
        .filter(|(priority, _)| *priority != 2)
        .try_for_each(|(priority, text)| send(&writer, *priority, text))?;
    all.iter()
        .filter(|(priority, _)| *priority == 2)
        .try_for_each(|(priority, text)| send(&writer, *priority, text))?;
    send(&silent, 1, b"unread")?;
    let name = open(c"/zdtm", libc::O_RDONLY | libc::O_NONBLOCK, 0, 0)?;
    drop(writer);
    register(&name, Some((libc::SIGUSR2, 0xfeed_f00d)))?;
    register(&silent, None)?;
    let before = (text(&name)?, text(&silent)?);
    gate.checkpoint()?;
    check_eq("who is told", (text(&name)?, text(&silent)?), before)?;
    check_messages(&name, &all)?;
    check_messages(&silent, &[(1, b"unread")])?;
    send(&open(c"/zdtm", libc::O_WRONLY, 0, 0)?, 1, b"next")?;
    check_eq("code and value of the signal", await_notice(&set)?, (libc::SI_MESGQ, 0xfeed_f00d))
}
