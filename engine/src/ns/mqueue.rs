//! POSIX message queues of an IPC namespace that a tree has to itself: names, attributes, owners, messages and who is told
//! of the next one survive, also those of queues that were removed while they are open. Times do not.

use super::limits;
use super::notice::{Answer, Question, SIGEV_NONE, SIGEV_SIGNAL, event};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{
    FdinfoEntry, FileEntry, StasisMessage, StasisMqueueEntry, StasisMqueueFileEntry, StasisNotice,
};
use crate::kind::{BatchCall, Descriptor};
use crate::sys::mqueue::{self, Attributes};
use crate::sys::{self, Pid};
use nix::dir::Dir;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat};
use nix::unistd::{Gid, Uid};
use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Queues that were found.
#[derive(Debug)]
pub struct Queues {
    /// The device number of their file system.
    device: u64,
    /// By inode.
    ids: HashMap<u64, u32>,
    /// How many messages each holds.
    unread: HashMap<u32, u64>,
    /// The messages of all.
    pub entries: Vec<StasisMqueueEntry>,
    /// Whether messages are left alone: to be read they are taken out and put back.
    alone: bool,
}

impl Queues {
    /// All queues that have a name; for a thread in the namespace. None where the kernel has no queues. `alone`: without
    /// their messages, as they are in use.
    pub fn read(alone: bool) -> Result<Option<Queues>> {
        if !limits::has_posix_queues() {
            return Ok(None);
        }
        let doing = || "list message queues";
        let root = mqueue::mount().doing(doing)?;
        let device = fstat(&root).doing(doing)?.st_dev;
        let mut queues = Queues { device, ids: HashMap::new(), unread: HashMap::new(), entries: Vec::new(), alone };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut names: Vec<CString> = Vec::new();
        for entry in Dir::openat(&root, ".", flags, Mode::empty()).doing(doing)?.iter() {
            names.push(entry.doing(doing)?.file_name().to_owned());
        }
        for name in names.iter().filter(|name| !matches!(name.to_bytes(), b"." | b"..")) {
            let doing = || format!("open message queue /{}", name.to_string_lossy());
            let flags = OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
            let queue = openat(&root, name.as_c_str(), flags, Mode::empty()).doing(doing)?;
            let stat = fstat(&queue).doing(doing)?;
            queues.add(queue.as_fd(), name.to_bytes(), &stat)?;
        }
        Ok(Some(queues))
    }

    /// The number of the queue that a descriptor is open on.
    pub fn of(&mut self, descriptor: &Descriptor) -> Result<u32> {
        let stat = &descriptor.stat;
        if stat.st_dev != self.device {
            return Err(Error::unsupported(descriptor.describe(), "it is in another IPC namespace than the tree"));
        }
        if let Some(&id) = self.ids.get(&stat.st_ino) {
            return Ok(id);
        }
        const REMOVED: &[u8] = b" (deleted)";
        let name = descriptor.link.strip_suffix(REMOVED).unwrap_or(&descriptor.link);
        let name = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name).to_vec();
        let path = format!("/proc/self/fd/{}", descriptor.copy.as_raw_fd());
        let flags = OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let queue = open(path.as_str(), flags, Mode::empty()).doing(|| format!("open {}", descriptor.describe()))?;
        self.add(queue.as_fd(), &name, stat)
    }

    fn add(&mut self, queue: BorrowedFd<'_>, name: &[u8], stat: &FileStat) -> Result<u32> {
        let called = || called(name);
        let about = mqueue::attributes(queue).doing(|| format!("ask for the attributes of {}", called()))?;
        let notice = notice(queue).map_err(|what| Error::unsupported(called(), what))?;
        // Those of a queue with a notice are read by the process that is told.
        let messages = match notice {
            _ if self.alone => Vec::new(),
            Some(_) => Vec::new(),
            None => mqueue::read_all(queue).doing(|| format!("read the messages of {}", called()))?,
        };
        let id = self.entries.len() as u32 + 1;
        self.entries.push(StasisMqueueEntry {
            id,
            name: name.to_vec(),
            removed: stat.st_nlink == 0,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            max_messages: about.max_messages,
            message_size: about.message_size,
            messages: messages.into_iter().map(|(priority, text)| StasisMessage { priority, text }).collect(),
            notice,
        });
        self.ids.insert(stat.st_ino, id);
        self.unread.insert(id, about.messages);
        Ok(id)
    }

    /// What a process is to be asked for: the values that come with its notices, and the messages of those queues.
    /// `pending` are signals that wait for it.
    pub fn questions(
        &self,
        pid: Pid,
        table: &[FdinfoEntry],
        files: &[FileEntry],
        pending: u64,
    ) -> Result<Vec<Question>> {
        let mut questions = Vec::new();
        for entry in &self.entries {
            let Some(notice) = entry.notice.filter(|notice| notice.pid == pid.as_raw() as u32) else { continue };
            let (messages, signals) = (self.unread[&entry.id], notice.kind == SIGEV_SIGNAL);
            if !signals && messages == 0 {
                continue;
            }
            let called = called(&entry.name);
            if signals && pending >> (notice.signal.wrapping_sub(1) & 63) & 1 != 0 {
                let reason = format!("signal {}, which tells process {pid} of a message, is pending", notice.signal);
                return Err(Error::unsupported(called, reason).with_help("try again"));
            }
            let is_both = |open: &&StasisMqueueFileEntry| open.flags & libc::O_ACCMODE as u32 == libc::O_RDWR as u32;
            let of_queue = |fd: &FdinfoEntry| {
                let file = files.iter().find(|file| file.id == fd.id)?.mqueue.as_ref();
                Some((fd.fd, file.filter(|open| open.queue == entry.id)?))
            };
            let mut opened: Vec<_> = table.iter().filter_map(of_queue).collect();
            opened.sort_by_key(|(_, open)| !is_both(open));
            let Some((fd, open)) = opened.first() else {
                return Err(Error::unsupported(called, format!("process {pid} is registered with it and lacks it")));
            };
            let through = (!is_both(open)).then(|| lowest_free(table));
            let (queue, size) = (entry.id, entry.message_size);
            questions.push(Question { queue, called, fd: *fd, through, size, messages, notice });
        }
        Ok(questions)
    }

    /// Takes an answer.
    pub fn learn(&mut self, answer: Answer) {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == answer.queue) else { return };
        entry.messages = answer.messages;
        entry.notice.iter_mut().for_each(|notice| notice.value = answer.value);
    }

    /// Refuses queues that tell a process outside of the tree.
    pub fn check(&self, tree: &HashSet<Pid>) -> Result<()> {
        let outside = |notice: &StasisNotice| !tree.contains(&Pid::from_raw(notice.pid as i32));
        match self.entries.iter().find(|entry| entry.notice.as_ref().is_some_and(outside)) {
            None => Ok(()),
            Some(entry) => Err(Error::unsupported(
                called(&entry.name),
                "a process outside of the tree is to be told of its next message",
            )),
        }
    }
}

fn called(name: &[u8]) -> String {
    format!("message queue /{}", String::from_utf8_lossy(name))
}

/// The number that the next descriptor in a table gets.
fn lowest_free(table: &[FdinfoEntry]) -> u32 {
    let used: HashSet<u32> = table.iter().map(|fd| fd.fd).collect();
    (0..).find(|number| !used.contains(number)).unwrap_or(u32::MAX)
}

/// Who is told of the next message, from the text that a queue reads as.
fn notice(queue: BorrowedFd<'_>) -> Result<Option<StasisNotice>, String> {
    let mut text = [0; 128];
    let len = nix::sys::uio::pread(queue, &mut text, 0).map_err(|e| format!("its text cannot be read: {e}"))?;
    let text = String::from_utf8_lossy(&text[..len]).into_owned();
    let field = |name: &str| {
        let mut words = text.split_whitespace();
        words.find_map(|word| word.strip_prefix(name)?.strip_prefix(':')?.parse::<u32>().ok())
    };
    let fields = (field("NOTIFY_PID"), field("NOTIFY"), field("SIGNO"));
    let (Some(pid), Some(kind), Some(signal)) = fields else { return Err(format!("it reads `{}`", text.trim())) };
    match (pid, kind) {
        (0, _) => Ok(None),
        (_, SIGEV_SIGNAL | SIGEV_NONE) => Ok(Some(StasisNotice { pid, kind, signal, value: 0 })),
        _ => Err(format!("process {pid} is told of its next message through a socket, which is not supported yet")),
    }
}

/// The calls by which the process `pid` registers again with the queues that it was registered with.
pub fn register(
    entries: &[StasisMqueueEntry],
    pid: Pid,
    table: &[FdinfoEntry],
    files: &HashMap<u32, FileEntry>,
) -> Result<Vec<BatchCall>> {
    let mut calls = Vec::new();
    for entry in entries {
        let Some(notice) = entry.notice.filter(|notice| notice.pid == pid.as_raw() as u32) else { continue };
        let queue_of = |fd: &&FdinfoEntry| files.get(&fd.id)?.mqueue.as_ref().map(|open| open.queue);
        let Some(fd) = table.iter().find(|fd| queue_of(fd) == Some(entry.id)) else {
            return Err(Error::state(format!("process {pid} of the images is registered with a queue that it lacks")));
        };
        let args = [u64::from(fd.fd), 0, 0, 0, 0, 0];
        let doing = format!("register with the message queue of descriptor {} of process {pid}", fd.fd);
        calls.push(BatchCall { nr: libc::SYS_mq_notify, args, data: Some((1, event(&notice).to_vec())), doing });
    }
    Ok(calls)
}

/// Makes queues and fills them, removed ones first; for a thread in a namespace without any. Returns what `files` are open
/// on, by their ids.
pub fn make(entries: &[StasisMqueueEntry], files: &HashMap<u32, FileEntry>) -> Result<HashMap<u32, OwnedFd>> {
    let (removed, named): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.removed);
    let mut open = HashMap::new();
    for entry in removed.into_iter().chain(named) {
        let of_queue = |file: &&StasisMqueueFileEntry| file.queue == entry.id;
        let files: Vec<_> = files.values().filter_map(|file| file.mqueue.as_ref()).filter(of_queue).collect();
        make_one(entry, &files, &mut open)?;
    }
    Ok(open)
}

fn make_one(
    entry: &StasisMqueueEntry,
    files: &[&StasisMqueueFileEntry],
    open: &mut HashMap<u32, OwnedFd>,
) -> Result<()> {
    let doing = |what: &str| format!("{what} message queue /{}", String::from_utf8_lossy(&entry.name));
    let name =
        CString::new(entry.name.clone()).ok().filter(|name| !name.is_empty() && !name.to_bytes().contains(&b'/'));
    let Some(name) = name else {
        return Err(Error::state(format!("the images hold {}, which cannot be called so", doing("a"))));
    };
    let &StasisMqueueEntry { max_messages, message_size, mode, uid, gid, .. } = entry;
    let about = Attributes { max_messages, message_size, messages: 0 };
    let queue = mqueue::make(&name, 0o600, &about).doing(|| doing("make"))?;
    for StasisMessage { priority, text } in &entry.messages {
        let message = (*priority, text.clone());
        mqueue::send(queue.as_fd(), &message).doing(|| doing("put a message into"))?;
    }
    nix::unistd::fchown(&queue, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
        .doing(|| doing("give an owner to"))?;
    fchmod(&queue, Mode::from_bits_truncate(mode)).doing(|| doing("set the mode of"))?;
    for file in files {
        open.insert(file.id, open_again(queue.as_fd(), &name, file.flags).doing(|| doing("open"))?);
    }
    if entry.removed {
        mqueue::unlink(&name).doing(|| doing("remove"))?;
    }
    Ok(())
}

/// Opens a queue once more, as `flags` say.
fn open_again(queue: BorrowedFd<'_>, name: &CStr, flags: u32) -> sys::Result<OwnedFd> {
    let flags = flags as i32 & !(libc::O_ASYNC | libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC);
    // A file that was opened by its path has a flag that one of mq_open(3) lacks.
    if flags & sys::file::large_file_flag() == 0 {
        return mqueue::open(name, flags);
    }
    let path = format!("/proc/self/fd/{}", queue.as_raw_fd());
    open(path.as_str(), OFlag::from_bits_retain(flags) | OFlag::O_CLOEXEC, Mode::empty())
}
