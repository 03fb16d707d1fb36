//! System V objects of an IPC namespace that a tree has to itself: segments of shared memory, message queues, sets of
//! semaphores. Ids, keys, owners, creators, modes, contents and order survive; times and the pids of who was last do not:
//! no call sets them.

use super::limits;
use crate::error::{Doing, Error, Result};
use crate::image::proto::{IpcDescEntry, IpcMsg, IpcMsgEntry, IpcSemEntry, IpcShmEntry, IpcVarEntry};
use crate::image::{ImageDir, NewImageDir, kinds};
use crate::sys::ipc::{self, Attachment, Object, Perm, Queue, Segment};
use crate::sys::{self, Errno};
use nix::sys::statfs::{HUGETLBFS_MAGIC, fstatfs};
use std::os::fd::{AsFd, OwnedFd};

/// `ipc_perm.mode` of a segment that is gone when nobody has it attached any more.
const SHM_DEST: u32 = 0o1000;
/// `ipc_perm.mode` of a segment that is locked in memory.
const SHM_LOCKED: u32 = 0o2000;

/// A message: its type and its text.
type Message = (u64, Vec<u8>);

/// What is in a namespace.
#[derive(Debug)]
pub struct Objects {
    vars: IpcVarEntry,
    /// Segments; what is in them is a matter of the memory.
    pub segments: Vec<Object<Segment>>,
    queues: Vec<(Object<Queue>, Vec<Message>)>,
    /// Sets of semaphores and their values.
    pub sets: Vec<(Object<u32>, Vec<u16>)>,
    /// The SHM_* bits of segments of huge pages, by id.
    huge: Vec<(i32, u32)>,
}

impl Objects {
    /// Reads everything; for a thread in the namespace. Nothing changes.
    pub fn read() -> Result<Objects> {
        let vars = limits::read()?;
        let segments = ipc::segments().doing(|| "list segments of shared memory")?;
        let queues = ipc::queues().doing(|| "list message queues")?;
        let queues = queues.into_iter().map(|queue| Ok((queue, messages(&queue, vars.msg_ctlmax)?)));
        let queues = queues.collect::<Result<_>>()?;
        let sets = ipc::sets().doing(|| "list sets of semaphores")?;
        let values = |set: &Object<u32>| ipc::values(set.id, set.about).doing(|| format!("read semaphores {}", set.id));
        let sets = sets.into_iter().map(|set| Ok((set, values(&set)?))).collect::<Result<_>>()?;
        Ok(Objects { vars, segments, queues, sets, huge: Vec::new() })
    }

    /// Refuses what could not be made again.
    pub fn check(&self) -> Result<()> {
        let lone = self.segments.iter().find(|segment| segment.about.attached == 0);
        match lone.filter(|_| self.vars.shm_rmid_forced != 0) {
            None => Ok(()),
            Some(segment) => Err(Error::unsupported(
                format!("segment {} of shared memory", segment.id),
                "nobody has it attached and kernel.shm_rmid_forced would remove it when it is made again",
            )
            .with_help("write 0 to /proc/sys/kernel/shm_rmid_forced in the tree's IPC namespace")),
        }
    }

    /// Takes note of the key that a segment was made with: the kernel forgets it when the segment is removed, and its areas
    /// go on showing it.
    pub fn note_key(&mut self, id: i32, key: u32) {
        let removed = self.segments.iter_mut().find(|segment| segment.id == id && segment.perm.mode & SHM_DEST != 0);
        removed.into_iter().for_each(|segment| segment.perm.key = key);
    }

    /// Takes note of the pages of a segment, whose memory `file` is.
    pub fn note_pages(&mut self, id: i32, file: impl AsFd) -> Result<()> {
        let about = fstatfs(file).doing(|| format!("ask for the pages of segment {id} of shared memory"))?;
        if about.filesystem_type() == HUGETLBFS_MAGIC {
            let size = (about.block_size() as u64).trailing_zeros();
            self.huge.push((id, libc::SHM_HUGETLB as u32 | size << libc::MAP_HUGE_SHIFT));
        }
        Ok(())
    }

    /// Writes the images of the namespace that has this number.
    pub fn write(&self, out: &NewImageDir, number: u32) -> Result<()> {
        out.write_one(kinds::IPCNS_VAR.of(number), &self.vars)?;
        let segments: Vec<IpcShmEntry> = self.segments.iter().map(|segment| self.segment(segment)).collect();
        out.write_all(kinds::IPCNS_SHM.of(number), &segments)?;
        let mut writer = out.writer(kinds::IPCNS_MSG.of(number));
        for (queue, messages) in &self.queues {
            let (qbytes, qnum) = (queue.about.max_bytes as u32, messages.len() as u32);
            writer.entry(&IpcMsgEntry { desc: describe(queue.id, &queue.perm), qbytes, qnum })?;
            for (kind, text) in messages {
                writer.other(&IpcMsg { mtype: *kind, msize: text.len() as u32 })?;
                writer.payload(&padded(text.clone()))?;
            }
        }
        writer.finish()?;
        let mut writer = out.writer(kinds::IPCNS_SEM.of(number));
        for (set, values) in &self.sets {
            writer.entry(&IpcSemEntry { desc: describe(set.id, &set.perm), nsems: set.about })?;
            writer.payload(&padded(values.iter().flat_map(|value| value.to_ne_bytes()).collect()))?;
        }
        Ok(writer.finish()?)
    }

    fn segment(&self, segment: &Object<Segment>) -> IpcShmEntry {
        let huge = self.huge.iter().find(|(id, _)| *id == segment.id).map(|(_, flags)| *flags);
        let desc = describe(segment.id, &segment.perm);
        IpcShmEntry { desc, size: segment.about.size, in_pagemaps: Some(true), hugetlb_flag: huge }
    }
}

/// The messages of a queue, in their order.
fn messages(queue: &Object<Queue>, longest: u32) -> Result<Vec<Message>> {
    let mut buffer = vec![0; longest as usize + 8];
    let mut read = |index| match ipc::copy_message(queue.id, index, &mut buffer) {
        // The kernel copies none that is longer than what may be sent now.
        Err(Errno::E2BIG | Errno::EINVAL) => {
            let reason = format!("a message is longer than kernel.msgmax allows by now ({longest} bytes)");
            Err(Error::unsupported(format!("message queue {}", queue.id), reason)
                .with_help("raise kernel.msgmax in the tree's IPC namespace"))
        }
        Err(Errno::ENOSYS) => Err(Error::unsupported(
            format!("message queue {}", queue.id),
            "this kernel cannot show messages without taking them (CONFIG_CHECKPOINT_RESTORE)",
        )),
        other => other.doing(|| format!("read message {index} of queue {}", queue.id)),
    };
    (0..queue.about.messages).map(&mut read).collect()
}

fn describe(id: i32, perm: &Perm) -> IpcDescEntry {
    let Perm { key, uid, gid, cuid, cgid, mode } = *perm;
    IpcDescEntry { key, uid, gid, cuid, cgid, mode, id: id as u32 }
}

/// Bytes to a multiple of eight.
fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// What the images hold of a namespace.
#[derive(Debug)]
pub struct Images {
    vars: IpcVarEntry,
    /// Segments, each with its memory where that stands behind the entry.
    pub segments: Vec<(IpcShmEntry, Vec<u8>)>,
    queues: Vec<(IpcMsgEntry, Vec<Message>)>,
    sets: Vec<(IpcSemEntry, Vec<u16>)>,
}

impl Images {
    /// Reads the images of the namespace that has this number.
    pub fn load(dir: &ImageDir, number: u32) -> Result<Images> {
        let of_segment = |entry: &IpcShmEntry| if entry.in_pagemaps == Some(true) { 0 } else { entry.size };
        let padded = |entry: &IpcShmEntry| of_segment(entry).checked_next_multiple_of(4).unwrap_or(u64::MAX);
        let segments = dir.read_all_with(kinds::IPCNS_SHM.of(number), padded)?;
        let bytes = |entry: &IpcSemEntry| (2 * u64::from(entry.nsems)).next_multiple_of(8);
        let sets = dir.read_all_with(kinds::IPCNS_SEM.of(number), bytes)?.into_iter().map(|(entry, bytes)| {
            let values = bytes.chunks_exact(2).map(|pair| u16::from_ne_bytes([pair[0], pair[1]]));
            let values = values.take(entry.nsems as usize).collect();
            (entry, values)
        });
        let sets = sets.collect();
        let vars = dir.read_one(kinds::IPCNS_VAR.of(number))?;
        Ok(Images { vars, segments, queues: load_queues(dir, number)?, sets })
    }

    /// Makes all objects; for a thread in a namespace in which there are none yet. `fill` writes what a segment holds
    /// into its memory. Segments that were removed are so again, and are there as long as what is returned.
    pub fn make(&self, fill: impl Fn(&IpcShmEntry, &[u8], OwnedFd) -> Result<()>) -> Result<Vec<Attachment>> {
        limits::widen()?;
        let mut removed = Vec::new();
        // Their keys are free again.
        let (first, rest): (Vec<_>, Vec<_>) = self.segments.iter().partition(|(entry, _)| is_removed(entry));
        for (entry, bytes) in first.into_iter().chain(rest) {
            let id = make_segment(entry)?;
            let doing = |what: &str| format!("{what} segment {id} of shared memory");
            let attached = Attachment::new(id, true).doing(|| doing("attach"))?;
            fill(entry, bytes, attached.memory().doing(|| doing("open"))?)?;
            if is_removed(entry) {
                ipc::remove_segment(id).doing(|| doing("remove"))?;
                removed.push(attached);
            }
        }
        for (entry, messages) in &self.queues {
            make_queue(entry, messages)?;
        }
        self.sets.iter().try_for_each(|(entry, values)| make_set(entry, values))?;
        Ok(removed)
    }

    /// Sets the limits; for a thread in the namespace, when all is attached.
    pub fn finish(&self) -> Result<()> {
        limits::write(&self.vars)
    }

    /// The value of a semaphore.
    pub fn value(&self, set: u32, number: u32) -> Option<u16> {
        let (_, values) = self.sets.iter().find(|(entry, _)| entry.desc.id == set)?;
        values.get(number as usize).copied()
    }
}

fn is_removed(entry: &IpcShmEntry) -> bool {
    entry.desc.mode & SHM_DEST != 0
}

fn load_queues(dir: &ImageDir, number: u32) -> Result<Vec<(IpcMsgEntry, Vec<Message>)>> {
    let mut queues = Vec::new();
    let Some(mut reader) = dir.reader(kinds::IPCNS_MSG.of(number))? else { return Ok(queues) };
    while let Some(entry) = reader.entry::<IpcMsgEntry>()? {
        let mut messages = Vec::new();
        for _ in 0..entry.qnum {
            let Some(message) = reader.entry::<IpcMsg>()? else {
                return Err(reader.invalid("a message is missing").into());
            };
            let mut text = reader.payload(u64::from(message.msize).next_multiple_of(8))?;
            text.truncate(message.msize as usize);
            messages.push((message.mtype, text));
        }
        queues.push((entry, messages));
    }
    Ok(queues)
}

/// Makes an object of a kind (`shm`, `msg`, `sem`) with the id and the creator that the images say.
fn make(kind: &str, desc: &IpcDescEntry, make: impl FnOnce(&Perm) -> sys::Result<i32>) -> Result<(i32, Perm)> {
    let IpcDescEntry { key, uid, gid, cuid, cgid, mode, id } = *desc;
    let perm = Perm { key, uid, gid, cuid, cgid, mode };
    let wanted =
        i32::try_from(id).map_err(|_| Error::state(format!("the images hold an impossible {kind} id {id}")))?;
    limits::set_next_id(kind, wanted)?;
    let made = ipc::as_creator(cuid, cgid, || make(&perm)).doing(|| format!("make the {kind} object {id}"))?;
    if made != wanted {
        return Err(Error::state(format!("the {kind} object {id} got the id {made}: the images hold one twice")));
    }
    Ok((made, perm))
}

fn make_segment(entry: &IpcShmEntry) -> Result<i32> {
    let huge = entry.hugetlb_flag.map_or(0, |flags| flags as i32 | libc::SHM_HUGETLB);
    let (id, perm) = make("shm", &entry.desc, |perm| ipc::make_segment(perm, entry.size, huge))?;
    ipc::own_segment(id, &perm).doing(|| format!("give segment {id} its owner"))?;
    if perm.mode & SHM_LOCKED != 0 {
        ipc::lock_segment(id).doing(|| format!("lock segment {id}"))?;
    }
    Ok(id)
}

fn make_queue(entry: &IpcMsgEntry, messages: &[Message]) -> Result<()> {
    // A queue may hold more than it was allowed to take in since; an empty message counts as one.
    let bytes: usize = messages.iter().map(|(_, text)| text.len().max(1)).sum();
    limits::set_queue_bytes((bytes as u32).max(entry.qbytes))?;
    let (id, perm) = make("msg", &entry.desc, ipc::make_queue)?;
    for (kind, text) in messages {
        ipc::send_message(id, *kind, text).doing(|| format!("put a message of type {kind} into queue {id}"))?;
    }
    ipc::own_queue(id, &perm, entry.qbytes.into()).doing(|| format!("give message queue {id} its owner"))
}

fn make_set(entry: &IpcSemEntry, values: &[u16]) -> Result<()> {
    let (id, perm) = make("sem", &entry.desc, |perm| ipc::make_set(perm, entry.nsems))?;
    ipc::set_values(id, values).doing(|| format!("set the values of semaphores {id}"))?;
    ipc::own_set(id, &perm).doing(|| format!("give semaphores {id} their owner"))
}
