//! /proc/PID/maps: the areas of an address space, in ascending order.

use std::borrow::Cow;

use super::ProcDir;
use super::error::{ParseError, Result};
use super::text::{Line, Lines};

/// What the kernel appends to the name of a file that has no directory entry any more.
const DELETED: &[u8] = b" (deleted)";

/// The addresses `start..end` of another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AddrRange {
    /// The first address.
    pub start: u64,
    /// The address after the last one; never below `start` when parsed.
    pub end: u64,
}

impl AddrRange {
    /// Bytes.
    pub fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there is no address in it.
    pub fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    /// Whether `address` lies inside.
    pub fn contains(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }

    /// Whether the two have an address in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        !self.is_empty() && !other.is_empty() && self.start < other.end && other.start < self.end
    }

    /// The area's link below /proc/PID, for [`ProcDir`].
    pub fn map_file(&self) -> String {
        format!("map_files/{:x}-{:x}", self.start, self.end)
    }

    /// Pages of `page_size` bytes (a power of two, as the kernel tells it), a part counting as a whole one.
    pub fn pages(&self, page_size: u64) -> u64 {
        self.len().div_ceil(page_size.max(1))
    }
}

/// Permissions of an area.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Prot {
    /// PROT_READ.
    pub read: bool,
    /// PROT_WRITE.
    pub write: bool,
    /// PROT_EXEC.
    pub exec: bool,
}

impl Prot {
    /// PROT_* as mmap(2) takes them.
    pub fn bits(&self) -> i32 {
        let bit = |on: bool, bit| if on { bit } else { 0 };
        bit(self.read, libc::PROT_READ) | bit(self.write, libc::PROT_WRITE) | bit(self.exec, libc::PROT_EXEC)
    }
}

/// One line of maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Its addresses.
    pub range: AddrRange,
    /// Its permissions.
    pub prot: Prot,
    /// MAP_SHARED or MAP_SHARED_VALIDATE, as far as the kernel shows it (`s`).
    pub shared: bool,
    /// Bytes from the start of the file.
    pub offset: u64,
    /// The file system's device, major and minor; (0, 0) without a file.
    pub dev: (u32, u32),
    /// 0 without a file.
    pub inode: u64,
    /// The name as the kernel writes it, empty for anonymous memory. A line feed is written `\012`, which a file's
    /// name may also hold literally: /proc/PID/map_files settles it.
    pub name: Vec<u8>,
}

/// What the name of a mapping stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name<'a> {
    /// No name: private anonymous memory.
    Anonymous,
    /// `[anon:NAME]`: private anonymous memory named by PR_SET_VMA.
    AnonymousNamed(&'a [u8]),
    /// `[anon_shmem:NAME]`: shared anonymous memory named by PR_SET_VMA.
    SharedNamed(&'a [u8]),
    /// `/dev/zero (deleted)`: shared anonymous memory.
    SharedAnonymous,
    /// `/anon_hugepage (deleted)`: anonymous memory in hugetlb pages.
    Hugetlb,
    /// `/memfd:NAME (deleted)`.
    Memfd(&'a [u8]),
    /// `/SYSVkkkkkkkk (deleted)`: System V shared memory and its key.
    SysV(u32),
    /// `/[aio] (deleted)`: the ring of an AIO context.
    AioRing,
    /// `[heap]`.
    Heap,
    /// `[stack]`.
    Stack,
    /// `[vdso]`.
    Vdso,
    /// `[vvar]`.
    Vvar,
    /// `[vvar_vclock]`: the clocks' pages after `[vvar]`, since 6.13.
    VvarVclock,
    /// `[vsyscall]`: x86's fixed page, part of no address space.
    Vsyscall,
    /// Another name that is no path: `[uprobes]`, `anon_inode:[io_uring]`, `socket:[…]`.
    Special(&'a [u8]),
    /// A file in the file system, see [`Mapping::file_path`].
    File,
}

impl Mapping {
    /// Whether the kernel marks the file as deleted. A file may also bear a name that ends so: its link count decides.
    pub fn is_deleted(&self) -> bool {
        self.name.starts_with(b"/") && self.name.ends_with(DELETED)
    }

    /// The path of the file, without the mark of deletion and with line feeds decoded.
    pub fn file_path(&self) -> Option<Cow<'_, [u8]>> {
        if !matches!(self.kind(), Name::File) {
            return None;
        }
        let path = self.name.strip_suffix(DELETED).unwrap_or(&self.name);
        Some(if path.contains(&b'\\') { Cow::Owned(unescape_newlines(path)) } else { Cow::Borrowed(path) })
    }

    /// What the name stands for. Only a name is looked at: a file may be called `/SYSV00000000 (deleted)`, too.
    pub fn kind(&self) -> Name<'_> {
        let name = self.name.as_slice();
        match name {
            b"" => Name::Anonymous,
            b"[heap]" => Name::Heap,
            b"[stack]" => Name::Stack,
            b"[vdso]" => Name::Vdso,
            b"[vvar]" => Name::Vvar,
            b"[vvar_vclock]" => Name::VvarVclock,
            b"[vsyscall]" => Name::Vsyscall,
            b"/dev/zero (deleted)" => Name::SharedAnonymous,
            b"/anon_hugepage (deleted)" => Name::Hugetlb,
            b"/[aio] (deleted)" => Name::AioRing,
            _ => between(name, b"[anon:", b"]")
                .map(Name::AnonymousNamed)
                .or_else(|| between(name, b"[anon_shmem:", b"]").map(Name::SharedNamed))
                .or_else(|| between(name, b"/memfd:", DELETED).map(Name::Memfd))
                .or_else(|| between(name, b"/SYSV", DELETED).and_then(sysv_key).map(Name::SysV))
                .unwrap_or(if name.starts_with(b"/") { Name::File } else { Name::Special(name) }),
        }
    }
}

fn between<'a>(name: &'a [u8], before: &[u8], after: &[u8]) -> Option<&'a [u8]> {
    name.strip_prefix(before)?.strip_suffix(after)
}

fn sysv_key(digits: &[u8]) -> Option<u32> {
    let mut line = Line::of(digits);
    let key = line.hex("a key").ok()?;
    (digits.len() == 8 && line.rest().is_empty()).then_some(key)
}

/// In names of maps the kernel escapes line feeds only.
fn unescape_newlines(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, tail)) = rest.split_first() {
        match rest.strip_prefix(br"\012") {
            Some(tail) => {
                out.push(b'\n');
                rest = tail;
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

/// Reads `maps` of a process.
pub fn read(dir: &ProcDir, buf: &mut Vec<u8>) -> Result<Vec<Mapping>> {
    dir.read_with("maps", buf, parse)
}

/// Parses a maps file.
pub fn parse(text: &[u8]) -> Result<Vec<Mapping>, ParseError> {
    Lines::new(text).map(|mut line| mapping(&mut line)).collect()
}

/// Parses one line of maps, or the first line of an area in smaps.
pub(super) fn mapping(line: &mut Line<'_>) -> Result<Mapping, ParseError> {
    let whole = line.clone();
    let start = line.hex("the start of an area in hexadecimal")?;
    line.expect(b"-", "`-` between start and end")?;
    let end = line.hex("the end of an area in hexadecimal")?;
    if end < start {
        return Err(whole.error("an area that ends after its start"));
    }
    line.expect(b" ", "a blank before the permissions")?;
    let whole = line.clone();
    let [r, w, x, s] = line.take("permissions")?;
    let (Some(read), Some(write), Some(exec), Some(shared)) =
        (letter(r, b'r', b'-'), letter(w, b'w', b'-'), letter(x, b'x', b'-'), letter(s, b's', b'p'))
    else {
        return Err(whole.error("permissions like rwxp"));
    };
    let offset = line.hex("the offset in hexadecimal")?;
    let major = line.hex("the major number in hexadecimal")?;
    line.expect(b":", "`:` between the device's numbers")?;
    let minor = line.hex("the minor number in hexadecimal")?;
    let inode = line.dec("the inode")?;
    if !line.rest().is_empty() {
        line.expect(b" ", "a blank before the name")?;
        line.blanks();
    }
    let prot = Prot { read, write, exec };
    let range = AddrRange { start, end };
    Ok(Mapping { range, prot, shared, offset, dev: (major, minor), inode, name: line.rest().to_vec() })
}

fn letter(byte: u8, on: u8, off: u8) -> Option<bool> {
    (byte == on || byte == off).then_some(byte == on)
}
