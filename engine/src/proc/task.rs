//! The small files of a task: lists of threads, children and descriptors, namespaces, cgroups, and single values.

use std::os::fd::RawFd;

use nix::unistd::Pid;

use super::ProcDir;
use super::error::{ParseError, Result};
use super::text::{Line, Lines};

/// A namespace as a link of /proc/PID/ns names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Namespace {
    /// `pid`, `mnt`, `net`, …; `pid_for_children` links to a `pid`.
    pub kind: Vec<u8>,
    /// Its inode, which identifies it as long as it lives.
    pub inode: u64,
}

/// A task's place in one hierarchy of cgroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    /// 0 for version 2.
    pub hierarchy: u32,
    /// Controllers, or `name=…`; empty for version 2.
    pub controllers: Vec<Vec<u8>>,
    /// The path from the reader's cgroup namespace; ` (deleted)` ends that of a removed one.
    pub path: Vec<u8>,
}

/// The size of the words in an auxiliary vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// 4 bytes: a 32-bit program.
    Four,
    /// 8 bytes.
    Eight,
}

/// The threads of a process in the kernel's order: the leader first, then by age.
pub fn threads(dir: &ProcDir) -> Result<Vec<Pid>> {
    dir.list("task", |name| value(name, |line| line.int("a tid")).map(Pid::from_raw))
}

/// Every process of the machine, or of the pid namespace that /proc shows.
pub fn processes() -> Result<Vec<Pid>> {
    // Among them lie files with names of their own.
    let number = |name: &[u8]| Ok(value(name, |line| line.int("a pid")).ok());
    Ok(ProcDir::root()?.list(".", number)?.into_iter().flatten().map(Pid::from_raw).collect())
}

/// The open descriptors of a process or thread, in ascending order.
pub fn descriptors(dir: &ProcDir) -> Result<Vec<RawFd>> {
    dir.list("fd", |name| value(name, |line| line.int("a descriptor")))
}

/// The processes that a *thread* ([`ProcDir::thread`]) is the parent of. Complete only while they are all frozen.
pub fn children(thread: &ProcDir, buf: &mut Vec<u8>) -> Result<Vec<Pid>> {
    thread.read_with("children", buf, parse_children)
}

/// The namespace that `ns/NAME` links to.
pub fn namespace(dir: &ProcDir, name: &str) -> Result<Namespace> {
    dir.readlink_with(&format!("ns/{name}"), parse_namespace)
}

/// The names in `ns/`: the kinds of namespaces this kernel has.
pub fn namespace_names(dir: &ProcDir) -> Result<Vec<String>> {
    dir.list("ns", |name| {
        let text = std::str::from_utf8(name).map_err(|_| Line::of(name).error("the name of a namespace"))?;
        Ok(text.to_owned())
    })
}

/// The cgroups of a task.
pub fn cgroups(dir: &ProcDir, buf: &mut Vec<u8>) -> Result<Vec<Cgroup>> {
    dir.read_with("cgroup", buf, parse_cgroups)
}

/// The auxiliary vector as the kernel keeps it: pairs of type and value up to and with the pair of AT_NULL.
pub fn auxv(dir: &ProcDir, word: Word, buf: &mut Vec<u8>) -> Result<Vec<u64>> {
    dir.read_with("auxv", buf, |text| parse_auxv(text, word))
}

/// The execution domain and its flags, see personality(2).
pub fn personality(dir: &ProcDir, buf: &mut Vec<u8>) -> Result<u32> {
    dir.read_with("personality", buf, |text| value(text, |line| line.hex("a personality in hexadecimal")))
}

/// The user the audit subsystem holds responsible; `u32::MAX` when unset.
pub fn login_uid(dir: &ProcDir, buf: &mut Vec<u8>) -> Result<u32> {
    dir.read_with("loginuid", buf, |text| value(text, |line| line.dec("a user id")))
}

/// -1000 to 1000.
pub fn oom_score_adj(dir: &ProcDir, buf: &mut Vec<u8>) -> Result<i16> {
    dir.read_with("oom_score_adj", buf, |text| value(text, |line| line.int("a number from -1000 to 1000")))
}

/// PR_SET_TIMERSLACK, nanoseconds. Of another task: CAP_SYS_NICE.
pub fn timer_slack(dir: &ProcDir, buf: &mut Vec<u8>) -> Result<u64> {
    dir.read_with("timerslack_ns", buf, |text| value(text, |line| line.dec("nanoseconds")))
}

/// Which areas a core dump holds, core(5). `None` for a task without memory of its own: a zombie, a kernel thread.
pub fn coredump_filter(dir: &ProcDir, buf: &mut Vec<u8>) -> Result<Option<u32>> {
    dir.read_with("coredump_filter", buf, |text| {
        if text.is_empty() { Ok(None) } else { value(text, |line| line.hex("a filter in hexadecimal")).map(Some) }
    })
}

/// The arguments, which a process may overwrite. Empty for a zombie.
pub fn command_line(dir: &ProcDir, buf: &mut Vec<u8>) -> Result<Vec<Vec<u8>>> {
    dir.read("cmdline", buf)?;
    Ok(parse_command_line(buf))
}

/// Parses a file of one value, with or without a line feed.
fn value<T>(text: &[u8], one: impl FnOnce(&mut Line<'_>) -> Result<T, ParseError>) -> Result<T, ParseError> {
    let mut line = Line::of(text.strip_suffix(b"\n").unwrap_or(text));
    let value = one(&mut line)?;
    line.end()?;
    Ok(value)
}

/// Parses `children`: pids separated by blanks.
pub fn parse_children(text: &[u8]) -> Result<Vec<Pid>, ParseError> {
    let mut line = Line::of(text);
    let mut found = Vec::new();
    while !line.is_done() {
        found.push(Pid::from_raw(line.int("a pid")?));
    }
    Ok(found)
}

/// Parses the target of a link of `ns/`: `pid:[4026531836]`.
pub fn parse_namespace(target: &[u8]) -> Result<Namespace, ParseError> {
    const FORM: &str = "a namespace like pid:[4026531836]";
    let mut line = Line::of(target);
    let Some(kind) = line.until(b':') else {
        return Err(line.error(FORM));
    };
    line.expect(b"[", FORM)?;
    let inode = line.dec(FORM)?;
    line.expect(b"]", FORM)?;
    line.end()?;
    Ok(Namespace { kind: kind.to_vec(), inode })
}

/// Parses `cgroup`: lines `hierarchy:controllers:path`.
pub fn parse_cgroups(text: &[u8]) -> Result<Vec<Cgroup>, ParseError> {
    Lines::new(text)
        .map(|mut line| {
            const FORM: &str = "`hierarchy:controllers:path`";
            let whole = line.clone();
            let hierarchy = line.dec(FORM)?;
            line.expect(b":", FORM)?;
            let names = line.until(b':').ok_or_else(|| whole.error(FORM))?;
            let controllers = names.split(|b| *b == b',').filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect();
            Ok(Cgroup { hierarchy, controllers, path: line.rest().to_vec() })
        })
        .collect()
}

/// Parses an auxiliary vector of this machine's byte order.
pub fn parse_auxv(bytes: &[u8], word: Word) -> Result<Vec<u64>, ParseError> {
    let (words, rest): (Vec<u64>, &[u8]) = match word {
        Word::Four => {
            let (words, rest) = bytes.as_chunks::<4>();
            (words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).collect(), rest)
        }
        Word::Eight => {
            let (words, rest) = bytes.as_chunks::<8>();
            (words.iter().map(|word| u64::from_ne_bytes(*word)).collect(), rest)
        }
    };
    if rest.is_empty() && words.len().is_multiple_of(2) {
        Ok(words)
    } else {
        Err(ParseError::new(1, "pairs of words", rest))
    }
}

/// Splits `cmdline` at its NULs; an argument that lost its NUL by overwriting counts, too.
pub fn parse_command_line(text: &[u8]) -> Vec<Vec<u8>> {
    if text.is_empty() {
        return Vec::new();
    }
    text.strip_suffix(b"\0").unwrap_or(text).split(|b| *b == 0).map(<[u8]>::to_vec).collect()
}
