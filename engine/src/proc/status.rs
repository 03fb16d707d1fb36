//! /proc/PID/status and task/TID/status: ids, signals, capabilities and switches of a task.

use nix::unistd::Pid;

use super::ProcDir;
use super::error::{ParseError, Result};
use super::text::{Line, Lines, unescape_name};

/// The lines no kernel leaves out, in the order in which all kernels write them.
const REQUIRED: [&str; 17] = [
    "Name",
    "State",
    "Tgid",
    "Pid",
    "PPid",
    "TracerPid",
    "Uid",
    "Gid",
    "Groups",
    "SigPnd",
    "ShdPnd",
    "SigBlk",
    "SigIgn",
    "SigCgt",
    "CapInh",
    "CapPrm",
    "CapEff",
];

/// A task's status. Pids are those of the /proc mount's pid namespace; ids those of the reader's user namespace.
/// An `Option` is `None` where the kernel writes no such line: too old, not configured, or no memory left (a zombie).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// The name, with the kernel's escapes of `\n` and `\\` undone.
    pub name: Vec<u8>,
    /// The letter of the state, one of `RSDTtZXxIKWP`; 0 never occurs.
    pub state: u8,
    /// File creation mask; absent in a task without a file system context.
    pub umask: Option<u32>,
    /// What the task and its relatives are called.
    pub ids: Ids,
    /// Real, effective, saved and file system user.
    pub uid: [u32; 4],
    /// Real, effective, saved and file system group.
    pub gid: [u32; 4],
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// What the task is called in each pid namespace, from the reader's inwards.
    pub ns: NsIds,
    /// Threads of the process.
    pub threads: Option<u32>,
    /// Whether the process is dumping core.
    pub core_dumping: Option<bool>,
    /// Whether transparent huge pages are allowed (PR_SET_THP_DISABLE).
    pub thp_enabled: Option<bool>,
    /// Locked memory, kB.
    pub vm_locked: Option<u64>,
    /// Memory in hugetlb pages, kB.
    pub hugetlb: Option<u64>,
    /// Queued signals of the user, and their limit.
    pub sig_queued: Option<(u64, u64)>,
    /// Sets of signals.
    pub signals: Signals,
    /// Sets of capabilities.
    pub caps: Caps,
    /// PR_SET_NO_NEW_PRIVS.
    pub no_new_privs: Option<bool>,
    /// 0 off, 1 strict, 2 filter.
    pub seccomp: Option<u32>,
    /// Filters attached.
    pub seccomp_filters: Option<u32>,
    /// PR_SPEC_STORE_BYPASS in the kernel's words.
    pub store_bypass: Option<Vec<u8>>,
    /// PR_SPEC_INDIRECT_BRANCH in the kernel's words.
    pub indirect_branch: Option<Vec<u8>>,
    /// x86: `shstk`, `wrss` where shadow stacks are in use, else empty.
    pub thread_features: Option<Vec<u8>>,
    /// CPUs the task may run on: words of 32, the lowest first.
    pub cpus_allowed: Option<Vec<u32>>,
}

/// Pids of a task and its relatives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// The process.
    pub tgid: Pid,
    /// The task.
    pub pid: Pid,
    /// The parent process, 0 when outside the namespace.
    pub ppid: Pid,
    /// The process that traces the task, 0 for none.
    pub tracer: Pid,
}

impl Default for Ids {
    fn default() -> Self {
        let none = Pid::from_raw(0);
        Self { tgid: none, pid: none, ppid: none, tracer: none }
    }
}

/// The ids of a task in nested pid namespaces, outermost first; empty without CONFIG_PID_NS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NsIds {
    /// NStgid.
    pub tgid: Vec<Pid>,
    /// NSpid.
    pub pid: Vec<Pid>,
    /// NSpgid; 0 for a group of an outer namespace.
    pub pgid: Vec<Pid>,
    /// NSsid; 0 for a session of an outer namespace.
    pub sid: Vec<Pid>,
}

/// Signal sets: bit n-1 stands for signal n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signals {
    /// Pending for the thread.
    pub pending: u64,
    /// Pending for the process.
    pub shared_pending: u64,
    /// Blocked.
    pub blocked: u64,
    /// Ignored.
    pub ignored: u64,
    /// Caught by a handler.
    pub caught: u64,
}

/// Capability sets: bit n stands for capability n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Caps {
    /// Inheritable.
    pub inheritable: u64,
    /// Permitted.
    pub permitted: u64,
    /// Effective.
    pub effective: u64,
    /// Bounding.
    pub bounding: Option<u64>,
    /// Ambient, since 4.3.
    pub ambient: Option<u64>,
}

impl Status {
    /// Whether the task may run on a CPU.
    pub fn may_run_on(&self, cpu: usize) -> bool {
        let word = self.cpus_allowed.as_ref().and_then(|words| words.get(cpu / 32));
        word.is_some_and(|word| word >> (cpu % 32) & 1 == 1)
    }
}

/// Reads `status` of a process or thread.
pub fn read(dir: &ProcDir, buf: &mut Vec<u8>) -> Result<Status> {
    dir.read_with("status", buf, parse)
}

/// Parses a status file. Lines of unknown names are passed over.
pub fn parse(text: &[u8]) -> Result<Status, ParseError> {
    let mut out = Status::default();
    let mut required = REQUIRED.iter();
    let mut next = required.next();
    let mut lines = Lines::new(text);
    for mut line in lines.by_ref() {
        let whole = line.clone();
        let Some(key) = line.until(b':') else {
            return Err(whole.error("a line of the form `Name: value`"));
        };
        // One tab: a name may begin with blanks of its own.
        line.skip(b"\t");
        if next.is_some_and(|name| name.as_bytes() == key) {
            next = required.next();
        }
        let known = identity(&mut out, key, &mut line)?
            || signals(&mut out.signals, key, &mut line)?
            || capabilities(&mut out.caps, key, &mut line)?
            || memory(&mut out, key, &mut line)?
            || switches(&mut out, key, &mut line)?;
        if known {
            line.end()?;
        }
    }
    match next {
        None => Ok(out),
        Some(missing) => Err(lines.error(missing, b"the end of the file, or the line out of order")),
    }
}

fn identity(out: &mut Status, key: &[u8], line: &mut Line<'_>) -> Result<bool, ParseError> {
    match key {
        b"Name" => out.name = unescape_name(line.take_rest()),
        b"Umask" => out.umask = Some(line.octal("an octal mask")?),
        b"State" => {
            [out.state] = line.take("a state letter")?;
            line.take_rest();
        }
        b"Tgid" => out.ids.tgid = pid(line)?,
        b"Pid" => out.ids.pid = pid(line)?,
        b"PPid" => out.ids.ppid = pid(line)?,
        b"TracerPid" => out.ids.tracer = pid(line)?,
        b"Uid" => out.uid = four(line)?,
        b"Gid" => out.gid = four(line)?,
        b"Groups" => out.groups = all(line, |line| line.dec("a group id"))?,
        b"NStgid" => out.ns.tgid = all(line, pid)?,
        b"NSpid" => out.ns.pid = all(line, pid)?,
        b"NSpgid" => out.ns.pgid = all(line, pid)?,
        b"NSsid" => out.ns.sid = all(line, pid)?,
        b"Threads" => out.threads = Some(line.dec("a number of threads")?),
        _ => return Ok(false),
    }
    Ok(true)
}

fn signals(out: &mut Signals, key: &[u8], line: &mut Line<'_>) -> Result<bool, ParseError> {
    let set = match key {
        b"SigPnd" => &mut out.pending,
        b"ShdPnd" => &mut out.shared_pending,
        b"SigBlk" => &mut out.blocked,
        b"SigIgn" => &mut out.ignored,
        b"SigCgt" => &mut out.caught,
        _ => return Ok(false),
    };
    *set = line.hex("a signal set in hexadecimal")?;
    Ok(true)
}

fn capabilities(out: &mut Caps, key: &[u8], line: &mut Line<'_>) -> Result<bool, ParseError> {
    const SET: &str = "a capability set in hexadecimal";
    match key {
        b"CapInh" => out.inheritable = line.hex(SET)?,
        b"CapPrm" => out.permitted = line.hex(SET)?,
        b"CapEff" => out.effective = line.hex(SET)?,
        b"CapBnd" => out.bounding = Some(line.hex(SET)?),
        b"CapAmb" => out.ambient = Some(line.hex(SET)?),
        _ => return Ok(false),
    }
    Ok(true)
}

fn memory(out: &mut Status, key: &[u8], line: &mut Line<'_>) -> Result<bool, ParseError> {
    match key {
        b"VmLck" => out.vm_locked = Some(line.kilobytes()?),
        b"HugetlbPages" => out.hugetlb = Some(line.kilobytes()?),
        b"CoreDumping" => out.core_dumping = Some(flag(line)?),
        b"THP_enabled" => out.thp_enabled = Some(flag(line)?),
        b"x86_Thread_features" => out.thread_features = Some(line.take_rest().trim_ascii().to_vec()),
        _ => return Ok(false),
    }
    Ok(true)
}

fn switches(out: &mut Status, key: &[u8], line: &mut Line<'_>) -> Result<bool, ParseError> {
    match key {
        b"SigQ" => {
            let queued = line.dec("a number of signals")?;
            line.expect(b"/", "`/` and the limit of queued signals")?;
            out.sig_queued = Some((queued, line.dec("a limit of queued signals")?));
        }
        b"NoNewPrivs" => out.no_new_privs = Some(flag(line)?),
        b"Seccomp" => out.seccomp = Some(line.dec("a seccomp mode")?),
        b"Seccomp_filters" => out.seccomp_filters = Some(line.dec("a number of filters")?),
        b"Speculation_Store_Bypass" => out.store_bypass = Some(line.take_rest().to_vec()),
        b"SpeculationIndirectBranch" => out.indirect_branch = Some(line.take_rest().to_vec()),
        b"Cpus_allowed" => out.cpus_allowed = Some(cpu_words(line)?),
        _ => return Ok(false),
    }
    Ok(true)
}

fn pid(line: &mut Line<'_>) -> Result<Pid, ParseError> {
    line.int("a pid").map(Pid::from_raw)
}

fn flag(line: &mut Line<'_>) -> Result<bool, ParseError> {
    line.blanks();
    if line.skip(b"0") { Ok(false) } else { line.expect(b"1", "0 or 1").map(|()| true) }
}

fn four(line: &mut Line<'_>) -> Result<[u32; 4], ParseError> {
    let mut ids = [0; 4];
    for id in &mut ids {
        *id = line.dec("four ids")?;
    }
    Ok(ids)
}

fn all<T>(line: &mut Line<'_>, one: impl Fn(&mut Line<'_>) -> Result<T, ParseError>) -> Result<Vec<T>, ParseError> {
    let mut found = Vec::new();
    while !line.is_done() {
        found.push(one(line)?);
    }
    Ok(found)
}

/// Words of 32 bits separated by commas, the highest first in the file.
fn cpu_words(line: &mut Line<'_>) -> Result<Vec<u32>, ParseError> {
    let mut words = vec![line.hex("a mask of CPUs")?];
    while line.skip(b",") {
        words.push(line.hex("a mask of CPUs")?);
    }
    words.reverse();
    Ok(words)
}
