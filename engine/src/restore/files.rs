//! The files stage: the engine opens every file once and hands each task its copies, by a socket pair that the task
//! makes and of which the engine takes one end.

use super::actors::Crew;
use super::crew::{Member, Program, run_all};
use super::late::Late;
use super::load::Images;
use super::seed::Layout;
use super::tree::Tree;
use crate::error::{Doing, Error, Result};
use crate::image::proto::FdTypes;
use crate::kind::{self, RestoreContext};
use crate::options::RestoreOptions;
use crate::remote::{Batch, Handle};
use crate::sys::{self, RemoteAddr};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use std::collections::HashSet;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// Descriptors that one message may carry (SCM_MAX_FD).
const WINDOW: usize = 253;

/// What a task is to get: the number, a file of ours, and whether it closes on exec.
pub struct Given {
    /// The descriptor's number in the task.
    pub number: i32,
    /// Our copy.
    pub file: Arc<OwnedFd>,
    /// FD_CLOEXEC.
    pub cloexec: bool,
    /// It is an io_uring instance, which no socket carries (since Linux 6.7): the task takes it from the engine.
    pub ring: bool,
}

/// Nothing is open yet; what pipes hold is read.
pub fn context<'a>(
    images: &'a Images,
    options: &'a RestoreOptions,
    root: BorrowedFd<'a>,
) -> Result<RestoreContext<'a>> {
    let mut cx = RestoreContext::new(options, &images.dir, &images.files, root)?;
    cx.tree = images.tasks.iter().map(|task| task.pid()).collect();
    let threads = images.tasks.iter().flat_map(|task| task.threads.iter().map(|thread| thread.tid));
    cx.threads = threads.filter(|tid| !cx.tree.contains(tid)).collect();
    Ok(cx)
}

/// Opens files, what others need first.
pub fn open(images: &Images, ids: Vec<u32>, cx: &mut RestoreContext<'_>) -> Result<()> {
    let mut on_the_way = HashSet::new();
    ids.into_iter().try_for_each(|id| open_one(id, images, cx, &mut on_the_way))
}

/// Opens what is in descriptor tables and what is under way in queues; it may be a file of a process of the tree, which
/// must be there, and makes sockets as somebody of it. What a task has to make itself when its memory is there comes later
/// ([`super::userfaults`]).
pub fn open_rest(images: &Images, tree: &Tree, late: &Late, cx: &mut RestoreContext<'_>) -> Result<()> {
    kind::sk_unix::make(cx, &Crew { images, tree })?;
    let later = |id: &u32| images.files.get(id).is_some_and(|entry| entry.r#type() == FdTypes::Userfaultfd);
    let ids = images.tables.values().flatten().map(|fd| fd.id);
    let mut ids: Vec<u32> = ids.filter(|id| !later(id) && !late.has(*id)).collect();
    ids.extend(cx.sockets.under_way());
    ids.sort_unstable();
    ids.dedup();
    open(images, ids, cx)?;
    kind::sk_unix::finish(cx)
}

fn open_one(id: u32, images: &Images, cx: &mut RestoreContext<'_>, on_the_way: &mut HashSet<u32>) -> Result<()> {
    if cx.open.contains_key(&id) {
        return Ok(());
    }
    let entry = images.files.get(&id).ok_or_else(|| Error::state(format!("the images name file {id} and lack it")))?;
    if !on_the_way.insert(id) {
        return Err(Error::state(format!("file {id} of the images needs itself")));
    }
    crate::fault::point("open a file")?;
    let kind = kind::of_entry(entry)?;
    for needed in kind.needs(entry) {
        open_one(needed, images, cx, on_the_way)?;
    }
    let fd = kind.restore(entry, cx)?;
    cx.open.insert(id, Arc::new(fd));
    Ok(())
}

/// Gives descriptors to the owners of tables; what was open before in a table is closed.
pub fn hand_out(layout: &Layout, work: Vec<(&Member, Vec<Given>)>) -> Result<()> {
    let mut sockets = Vec::new();
    for (member, given) in &work {
        let mut program = Program::new(layout);
        let batch = program.room(8, 64);
        batch.call(libc::SYS_close_range, &[0, u64::from(u32::MAX), 0]);
        let pair = batch.room(8);
        let kind = (libc::SOCK_SEQPACKET) as u64;
        batch.call(libc::SYS_socketpair, &[libc::AF_UNIX as u64, kind, 0, pair.0]);
        let park = parking(given);
        batch.call_for(libc::SYS_fcntl, &[0, libc::F_DUPFD as u64, park], park as i64);
        batch.call(libc::SYS_close, &[0]);
        sockets.push((*member, program));
    }
    run_all(layout.stub(), &mut sockets)?;
    let mut receiving = Vec::new();
    for (member, given) in work {
        receiving.push(send_to(layout, member, given)?);
    }
    let mut programs: Vec<_> = Vec::new();
    let mut arrivals = Vec::new();
    for (member, program, arrival) in receiving {
        programs.push((member, program));
        arrivals.push(arrival);
    }
    run_all(layout.stub(), &mut programs)?;
    for ((member, program), arrival) in programs.iter().zip(&arrivals) {
        for a in arrival {
            a.check(member, &program.batches()[a.batch])?;
        }
    }
    Ok(())
}

/// Where the socket waits: above the numbers at which descriptors arrive, and at none where one belongs. Not simply
/// above all, which may be beyond the limit of open files.
fn parking(given: &[Given]) -> u64 {
    let taken: HashSet<i32> = given.iter().map(|g| g.number).collect();
    let lowest = (given.len() as i32).max(2);
    (lowest..).find(|n| !taken.contains(n)).unwrap_or(lowest) as u64
}

/// A message that a task receives, to be checked.
struct Arrival {
    batch: usize,
    call: Handle,
    header: RemoteAddr,
    control: RemoteAddr,
    first: i32,
    count: usize,
}

impl Arrival {
    /// The message must have come whole, its descriptors at the numbers that were free.
    fn check(&self, member: &Member, batch: &Batch) -> Result<()> {
        let truncated = batch.u32_at(self.header.plus(48)) & libc::MSG_CTRUNC as u32 != 0;
        let received = batch.result(self.call).ok();
        let header = size_of::<libc::cmsghdr>() as u64;
        let in_place = (0..self.count)
            .all(|i| batch.u32_at(self.control.plus(header + i as u64 * 4)) == (self.first + i as i32) as u32);
        if truncated || received != Some(1) || !in_place {
            let what = format!("task {} did not get {} descriptors from number {}", member.tid, self.count, self.first);
            return Err(Error::state(what).with_help("is the limit of open files (ulimit -n) large enough?"));
        }
        Ok(())
    }
}

/// Sends a task its descriptors and makes the program that puts them in place. They arrive at the lowest free numbers,
/// in ascending order of where they go, so that none stands in the way of another that moves later.
fn send_to<'m>(
    layout: &Layout,
    member: &'m Member,
    mut given: Vec<Given>,
) -> Result<(&'m Member, Program, Vec<Arrival>)> {
    given.sort_by_key(|g| g.number);
    let pidfd = sys::pidfd::open(member.tid).doing(|| format!("open a pidfd of task {}", member.tid))?;
    let socket = sys::pidfd::get_fd(pidfd.as_fd(), 1).doing(|| format!("take the socket of task {}", member.tid))?;
    let park = parking(&given);
    let mut program = Program::new(layout);
    program.call(libc::SYS_close, &[1]);
    let engine = sys::pidfd::open(nix::unistd::getpid()).doing(|| "open a pidfd of the engine")?;
    let mut arrivals = Vec::new();
    for (n, window) in given.chunks(WINDOW).enumerate() {
        let sent = |g: &Given| if g.ring { engine.as_raw_fd() } else { g.file.as_raw_fd() };
        let raw: Vec<i32> = window.iter().map(sent).collect();
        let iov = [std::io::IoSlice::new(b"f")];
        sendmsg::<()>(socket.as_raw_fd(), &iov, &[ControlMessage::ScmRights(&raw)], MsgFlags::empty(), None)
            .doing(|| format!("send descriptors to task {}", member.tid))?;
        arrivals.push(receive(&mut program, park, (n * WINDOW) as i32, window.len()));
    }
    place(&mut program, &given);
    take_rings(&mut program, &given, park);
    program.call(libc::SYS_close, &[park]);
    Ok((member, program, arrivals))
}

/// Adds the receipt of one message.
fn receive(program: &mut Program, socket: u64, first: i32, count: usize) -> Arrival {
    let control_len = (size_of::<libc::cmsghdr>() + count * 4).next_multiple_of(8);
    let batch = program.room(1, control_len + 192);
    let byte = batch.room(8);
    let iov = batch.put(&[byte.0.to_ne_bytes(), 1u64.to_ne_bytes()].concat());
    let control = batch.room(control_len);
    // struct msghdr: name, its length, vector, its length, control, its length, flags
    let words = [0, 0, iov.0, 1, control.0, control_len as u64, 0];
    let header = batch.put(&words.map(u64::to_ne_bytes).concat());
    let call = batch.call(libc::SYS_recvmsg, &[socket, header.0, 0]);
    Arrival { batch: program.batches().len() - 1, call, header, control, first, count }
}

/// Moves descriptors from where they arrived to where they belong, the highest first.
fn place(program: &mut Program, given: &[Given]) {
    for (at, g) in given.iter().enumerate().rev() {
        let (at, to) = (at as u64, g.number as u64);
        let flags = if g.cloexec { libc::O_CLOEXEC as u64 } else { 0 };
        if at != to {
            program.call(libc::SYS_dup3, &[at, to, flags]);
        } else if g.cloexec {
            program.call(libc::SYS_fcntl, &[at, libc::F_SETFD as u64, libc::FD_CLOEXEC as u64]);
        }
    }
    let numbers: HashSet<i32> = given.iter().map(|g| g.number).collect();
    for at in 0..given.len() as i32 {
        if !numbers.contains(&at) {
            program.call(libc::SYS_close, &[at as u64]);
        }
    }
}

/// Has the task take from the engine what is not sent. The engine's pidfd stands in its place; what is taken comes to the
/// lowest free number first.
fn take_rings(program: &mut Program, given: &[Given], park: u64) {
    let taken: HashSet<u64> = given.iter().map(|g| g.number as u64).chain([park]).collect();
    let free = (0..).find(|n| !taken.contains(n)).unwrap_or(u64::MAX);
    for g in given.iter().filter(|g| g.ring) {
        let (to, own) = (g.number as u64, g.file.as_raw_fd() as u64);
        program.room(1, 0).call_for(libc::SYS_pidfd_getfd, &[to, own, 0], free as i64);
        program.call(libc::SYS_dup3, &[free, to, if g.cloexec { libc::O_CLOEXEC as u64 } else { 0 }]);
        program.call(libc::SYS_close, &[free]);
    }
}
