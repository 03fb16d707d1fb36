//! Who is told of the next message of a POSIX queue (mq_notify(3)). The value that comes with the signal shows only in the
//! signal itself, and whoever takes the queue's messages and puts them back sets it off. So the process that is registered
//! does so itself: it takes all messages, puts them back (or a message of its own into an empty queue), takes the signal
//! and registers again, all in one batch. It goes through with it, also when the engine dies.

use crate::error::{Doing, Error, Result};
use crate::image::proto::{StasisMessage, StasisNotice};
use crate::remote::{Batch, Handle};
use crate::sys::{Pid, RemoteAddr};

/// The kinds of notice, mq_notify(3). The third goes to a socket.
pub const SIGEV_SIGNAL: u32 = 0;
/// See [`SIGEV_SIGNAL`].
pub const SIGEV_NONE: u32 = 1;

/// What a process is to be asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The queue's number in the images.
    pub queue: u32,
    /// What it is called in errors.
    pub called: String,
    /// The descriptor by which the process is registered.
    pub fd: u32,
    /// Where that is open for one direction alone: the number that another descriptor gets.
    pub through: Option<u32>,
    /// The most bytes of a message.
    pub size: u64,
    /// Messages in the queue.
    pub messages: u64,
    /// What is known of the notice.
    pub notice: StasisNotice,
}

/// What was found out.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The queue's number in the images.
    pub queue: u32,
    /// The value that comes with the signal.
    pub value: u64,
    /// The messages of the queue.
    pub messages: Vec<StasisMessage>,
}

/// What was asked, until the batch was run.
#[derive(Debug)]
pub struct Asked<'q> {
    question: &'q Question,
    opened: Option<Handle>,
    received: Vec<(Handle, RemoteAddr)>,
    sent: Vec<Handle>,
    /// Being told, and registering again.
    told: Vec<Handle>,
    value: RemoteAddr,
}

impl Question {
    /// Calls that the question takes.
    pub fn calls(&self) -> usize {
        7 + 3 * self.messages as usize
    }

    /// Bytes of data that it takes.
    pub fn data(&self) -> usize {
        640 + self.messages as usize * (self.size as usize + 64)
    }

    /// Adds the question to a batch of the process `pid`.
    pub fn ask(&self, batch: &mut Batch, pid: Pid) -> Asked<'_> {
        /// Where `siginfo_t` has the value.
        const VALUE: u64 = 24;
        let (own, fd) = (u64::from(self.fd), u64::from(self.through.unwrap_or(self.fd)));
        // A deadline that is over, and an empty message.
        let none = batch.room(16);
        let opened = self.through.map(|_| {
            let path = batch.put_str(format!("/proc/self/fd/{}", self.fd).as_bytes());
            let flags = (libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC) as u64;
            batch.try_call(libc::SYS_openat, &[libc::AT_FDCWD as u64, path.0, flags, 0])
        });
        let received = self.receive(batch, pid, fd, none);
        let mut texts: Vec<RemoteAddr> = received.iter().map(|(_, text)| *text).collect();
        if texts.is_empty() {
            texts.push(none);
        }
        // Lengths and priorities were filled in when the messages were received.
        let send = |text: RemoteAddr| batch.try_call(libc::SYS_mq_timedsend, &[fd, text.0, 0, 0, none.0]);
        let sent = texts.into_iter().map(send).collect();
        let mut told = Vec::new();
        let info = batch.room(128);
        if self.notice.kind == SIGEV_SIGNAL {
            let set = batch.put(&(1u64 << (self.notice.signal.wrapping_sub(1) & 63)).to_ne_bytes());
            told.push(batch.try_call(libc::SYS_rt_sigtimedwait, &[set.0, info.0, none.0, 8]));
        }
        if received.is_empty() {
            // An empty message fills nothing of a buffer, which need not be there.
            batch.try_call(libc::SYS_mq_timedreceive, &[fd, none.0, self.size, 0, none.0]);
        }
        if opened.is_some() {
            // Ends a registration of the process: the one that is over.
            batch.try_call(libc::SYS_close, &[fd]);
        }
        let event = batch.put(&event(&self.notice));
        copy(batch, pid, event, info.plus(VALUE));
        told.push(batch.try_call(libc::SYS_mq_notify, &[own, event.0]));
        Asked { question: self, opened, received, sent, told, value: event }
    }

    /// Adds the calls that take all messages; each fills in length and priority of the call that will put it back.
    fn receive(&self, batch: &mut Batch, pid: Pid, fd: u64, none: RemoteAddr) -> Vec<(Handle, RemoteAddr)> {
        /// Where the lower half of a word is.
        const LOWER: u64 = if cfg!(target_endian = "big") { 4 } else { 0 };
        let first = batch.len() + 2 * self.messages as usize;
        let mut received = Vec::new();
        for n in 0..self.messages as usize {
            let text = batch.room(self.size as usize);
            let (len, priority) = (batch.argument_at(first + n, 2), batch.argument_at(first + n, 3).plus(LOWER));
            let got = batch.result_at(batch.len());
            let args = [fd, text.0, self.size, priority.0, none.0];
            received.push((batch.try_call(libc::SYS_mq_timedreceive, &args), text));
            copy(batch, pid, len, got);
        }
        received
    }
}

/// Adds a call that copies a word within the process.
fn copy(batch: &mut Batch, pid: Pid, to: RemoteAddr, from: RemoteAddr) {
    let [to, from] = [to, from].map(|at| batch.put(&[at.0, 8].map(u64::to_ne_bytes).concat()));
    batch.try_call(libc::SYS_process_vm_readv, &[pid.as_raw() as u64, to.0, 1, from.0, 1, 0]);
}

impl Asked<'_> {
    /// What came of it.
    ///
    /// # Errors
    /// The process may not open the queue for both: nothing has changed.
    pub fn answer(&self, batch: &Batch) -> Result<Answer> {
        let Question { queue, called, notice, .. } = self.question;
        if let Some(Err(errno)) = self.opened.map(|call| batch.result(call)) {
            let pid = notice.pid;
            let reason =
                format!("process {pid} is to be told of its next message and cannot open it for both: {errno}");
            return Err(Error::unsupported(called.clone(), reason)
                .with_help("open it with O_RDWR: only then can the value be asked for that comes with the signal"));
        }
        for (call, what) in
            self.sent.iter().map(|call| (call, "put")).chain(self.told.iter().map(|call| (call, "hear")))
        {
            batch.result(*call).doing(|| format!("{what} a message of {called} and its notice"))?;
        }
        let mut messages = Vec::new();
        for ((receive, text), send) in self.received.iter().zip(&self.sent) {
            let len = batch.result(*receive).doing(|| format!("receive a message of {called}"))?;
            let text = batch.bytes(*text, len.min(self.question.size) as usize).to_vec();
            messages.push(StasisMessage { priority: batch.argument(*send, 3) as u32, text });
        }
        Ok(Answer { queue: *queue, value: batch.u64_at(self.value), messages })
    }
}

/// `struct sigevent`.
pub fn event(notice: &StasisNotice) -> [u8; 64] {
    let mut event = [0; 64];
    event[..8].copy_from_slice(&notice.value.to_ne_bytes());
    event[8..12].copy_from_slice(&notice.signal.to_ne_bytes());
    event[12..16].copy_from_slice(&notice.kind.to_ne_bytes());
    event
}
