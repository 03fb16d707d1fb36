//! Controlling terminals: only the leader of a session can make a terminal its session's, only a member can name the
//! foreground group, and only a member can open /dev/tty.

use super::crew::Member;
use super::load::Images;
use super::seed::Layout;
use super::tree::Tree;
use crate::error::{Doing, Result};
use crate::image::proto::TtyInfoEntry;
use crate::kind::RestoreContext;
use crate::kind::tty::{self, Session};
use crate::remote::Batch;
use crate::sys;
use std::os::fd::{AsFd, BorrowedFd};

/// A call on a descriptor: its number, and the arguments after the descriptor.
type Call<'a> = (u64, &'a dyn Fn(&mut Batch) -> u64);

/// Has a task open a terminal, do something with the descriptor, and close it.
fn with_terminal(member: &Member, layout: &Layout, path: &str, request: Call<'_>) -> Result<()> {
    let fd = open(member, layout, path, libc::O_RDWR | libc::O_NONBLOCK)?;
    let mut batch = batch(layout);
    let argument = request.1(&mut batch);
    batch.call(libc::SYS_ioctl, &[fd, request.0, argument]);
    batch.call(libc::SYS_close, &[fd]);
    member.run(layout.stub(), &mut batch).map(drop)
}

fn open(member: &Member, layout: &Layout, path: &str, flags: i32) -> Result<u64> {
    let mut batch = batch(layout);
    let path = batch.put_str(path.as_bytes());
    let flags = (flags | libc::O_CLOEXEC | libc::O_NOCTTY) as u64;
    let opened = batch.call(libc::SYS_openat, &[libc::AT_FDCWD as u64, path.0, flags, 0]);
    member.run(layout.stub(), &mut batch)?;
    batch.result(opened).doing(|| format!("have task {} open a terminal", member.tid))
}

fn batch(layout: &Layout) -> Batch {
    let (at, len) = layout.batch();
    Batch::new(at, len, 8)
}

/// Gives the leader of a session its terminal, before it has children: they inherit it.
pub fn control(member: &Member, layout: &Layout, session: &Session) -> Result<()> {
    let path = format!("/proc/{}/fd/{}", std::process::id(), session.terminal);
    with_terminal(member, layout, &path, (libc::TIOCSCTTY, &|_| 0))
        .map_err(|e| e.with_help("is the terminal that of another session already?"))
}

/// Names the foreground group of a session's terminal.
pub fn foreground(member: &Member, layout: &Layout, session: &Session) -> Result<()> {
    let group = |batch: &mut Batch| batch.put(&session.foreground.to_ne_bytes()).0;
    with_terminal(member, layout, "/dev/tty", (libc::TIOCSPGRP, &group))
}

/// Takes the terminal from the processes that had none though their sessions have, and opens /dev/tty for those who had
/// it open.
pub fn finish(images: &Images, tree: &Tree, cx: &mut RestoreContext<'_>) -> Result<()> {
    for through in tty::through(cx)? {
        let leader = images.tasks.iter().position(|task| task.entry.pid == through.sid);
        let fd = match leader {
            Some(leader) => {
                let member = &tree.leaders[leader];
                let number = open(member, &tree.layout, "/dev/tty", through.flags)?;
                let doing = || format!("take a terminal from task {}", member.tid);
                let pidfd = sys::pidfd::open(member.tid).doing(doing)?;
                let copy = sys::pidfd::get_fd(pidfd.as_fd(), number as i32).doing(doing)?;
                let mut batch = batch(&tree.layout);
                batch.call(libc::SYS_close, &[number]);
                member.run(tree.layout.stub(), &mut batch)?;
                copy
            }
            None => {
                let flags = nix::fcntl::OFlag::from_bits_retain(through.flags | libc::O_CLOEXEC | libc::O_NOCTTY);
                nix::fcntl::open("/dev/tty", flags, nix::sys::stat::Mode::empty()).doing(|| "open our own terminal")?
            }
        };
        cx.terminals.put(through.file, fd);
    }
    for (task, member) in images.tasks.iter().zip(&tree.leaders) {
        if task.threads.iter().any(|thread| thread.extra.no_terminal()) {
            with_terminal(member, &tree.layout, "/dev/tty", (libc::TIOCNOTTY, &|_| 0))?;
        }
    }
    match cx.terminals.own() {
        Some((own, info)) => share(own, info),
        None => Ok(()),
    }
}

/// A tree that was started from a shell gets the terminal as that shell would give it: in the foreground, and with the
/// settings that it had made. The size of the window is the terminal's own.
fn share(own: BorrowedFd<'_>, info: &TtyInfoEntry) -> Result<()> {
    use nix::sys::signal::{SigSet, SigmaskHow, Signal};
    let doing = || "give the tree the terminal that this was started on";
    let mut quiet = SigSet::empty();
    quiet.add(Signal::SIGTTOU);
    let before = quiet.thread_swap_mask(SigmaskHow::SIG_BLOCK).doing(doing)?;
    let settings = info.termios.as_ref().map(tty::settings).transpose()?;
    let set = settings.map_or(Ok(()), |termios| sys::tty::set_termios(own, &termios)).doing(doing);
    if info.pgrp != 0
        && let Err(errno) = sys::tty::set_foreground(own, info.pgrp as i32)
    {
        tracing::warn!("group {} is not in the foreground of the terminal: {}", info.pgrp, errno.desc());
    }
    before.thread_set_mask().doing(doing)?;
    set
}
