//! The settings of an IPC namespace (/proc/sys/kernel, /proc/sys/fs/mqueue). All functions are for a thread that is in
//! the namespace: the kernel shows each reader its own.

use crate::error::{Doing, Error, Result};
use crate::image::proto::IpcVarEntry;
use std::str::FromStr;

/// What makes no difference to objects that are made: more than any can need.
const AMPLE: [(&str, &str); 9] = [
    ("kernel/shmmax", "18446744073692774399"),
    ("kernel/shmall", "18446744073692774399"),
    ("kernel/shmmni", "32768"),
    ("kernel/msgmax", "2147483647"),
    ("kernel/msgmni", "32768"),
    ("kernel/sem", "2147483647 2147483647 500 32768"),
    ("fs/mqueue/queues_max", "1048576"),
    ("fs/mqueue/msg_max", "65536"),
    ("fs/mqueue/msgsize_max", "16777216"),
];

fn text(name: &str) -> Result<String> {
    let path = format!("/proc/sys/{name}");
    std::fs::read_to_string(&path).doing(|| format!("read {path}")).map(|text| text.trim().to_owned())
}

fn number<T: FromStr>(name: &str) -> Result<T> {
    text(name)?.parse().map_err(|_| Error::state(format!("/proc/sys/{name} holds no number that fits")))
}

/// Writes a setting where it is another.
fn set(name: &str, value: &str) -> Result<()> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    if words(&text(name)?) == words(value) {
        return Ok(());
    }
    let path = format!("/proc/sys/{name}");
    std::fs::write(&path, value).doing(|| format!("write {value} to {path}"))
}

/// Whether the kernel has POSIX message queues.
pub fn has_posix_queues() -> bool {
    std::path::Path::new("/proc/sys/fs/mqueue").exists()
}

/// The id that the next object of a kind (`shm`, `msg`, `sem`) gets.
pub fn set_next_id(kind: &str, id: i32) -> Result<()> {
    let path = format!("/proc/sys/kernel/{kind}_next_id");
    std::fs::write(&path, id.to_string()).doing(|| format!("write {id} to {path}"))
}

/// The bytes that a new message queue may hold.
pub fn set_queue_bytes(bytes: u32) -> Result<()> {
    set("kernel/msgmnb", &bytes.to_string())
}

/// Reads all settings.
pub fn read() -> Result<IpcVarEntry> {
    let sem = text("kernel/sem")?.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // -1: as it comes.
    let next = |kind: &str| -> Result<_> { Ok(u32::try_from(number::<i32>(&format!("kernel/{kind}_next_id"))?).ok()) };
    let posix = |name: &str| if has_posix_queues() { number(&format!("fs/mqueue/{name}")) } else { Ok(0u32) };
    Ok(IpcVarEntry {
        sem_ctls: sem,
        msg_ctlmax: number("kernel/msgmax")?,
        msg_ctlmnb: number("kernel/msgmnb")?,
        msg_ctlmni: number("kernel/msgmni")?,
        auto_msgmni: number("kernel/auto_msgmni")?,
        shm_ctlmax: number("kernel/shmmax")?,
        shm_ctlall: number("kernel/shmall")?,
        shm_ctlmni: number("kernel/shmmni")?,
        shm_rmid_forced: number("kernel/shm_rmid_forced")?,
        mq_queues_max: posix("queues_max")?,
        mq_msg_max: posix("msg_max")?,
        mq_msgsize_max: posix("msgsize_max")?,
        mq_msg_default: Some(posix("msg_default")?),
        mq_msgsize_default: Some(posix("msgsize_default")?),
        msg_next_id: next("msg")?,
        sem_next_id: next("sem")?,
        shm_next_id: next("shm")?,
    })
}

/// Makes room for objects of any size: they may be older than the limits.
pub fn widen() -> Result<()> {
    let known = AMPLE.iter().filter(|(name, _)| has_posix_queues() || !name.starts_with("fs/"));
    known.into_iter().try_for_each(|(name, value)| set(name, value))
}

/// Sets everything to what it was, when all objects are there.
pub fn write(vars: &IpcVarEntry) -> Result<()> {
    let sem: Vec<String> = vars.sem_ctls.iter().map(u32::to_string).collect();
    set("kernel/sem", &sem.join(" "))?;
    let numbers = [
        ("kernel/msgmax", u64::from(vars.msg_ctlmax)),
        ("kernel/msgmnb", vars.msg_ctlmnb.into()),
        ("kernel/msgmni", vars.msg_ctlmni.into()),
        ("kernel/auto_msgmni", vars.auto_msgmni.into()),
        ("kernel/shmmax", vars.shm_ctlmax),
        ("kernel/shmall", vars.shm_ctlall),
        ("kernel/shmmni", vars.shm_ctlmni.into()),
        ("kernel/shm_rmid_forced", vars.shm_rmid_forced.into()),
    ];
    numbers.into_iter().try_for_each(|(name, value)| set(name, &value.to_string()))?;
    for (kind, next) in [("msg", vars.msg_next_id), ("sem", vars.sem_next_id), ("shm", vars.shm_next_id)] {
        if let Some(id) = next.and_then(|id| i32::try_from(id).ok()) {
            set_next_id(kind, id)?;
        }
    }
    if !has_posix_queues() || vars.mq_msg_max == 0 {
        return Ok(());
    }
    let posix = [
        ("fs/mqueue/queues_max", Some(vars.mq_queues_max)),
        ("fs/mqueue/msg_max", Some(vars.mq_msg_max)),
        ("fs/mqueue/msgsize_max", Some(vars.mq_msgsize_max)),
        ("fs/mqueue/msg_default", vars.mq_msg_default),
        ("fs/mqueue/msgsize_default", vars.mq_msgsize_default),
    ];
    posix.into_iter().filter_map(|(name, value)| Some((name, value?))).try_for_each(|(n, v)| set(n, &v.to_string()))
}
