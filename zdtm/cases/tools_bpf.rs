//! BPF maps by plain calls.

use crate::gate::Verdict;
use crate::tools_files::owned;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, OwnedFd};

/// BPF_MAP_TYPE_*.
pub const HASH: u32 = 1;
pub const ARRAY: u32 = 2;
pub const PERCPU_ARRAY: u32 = 6;
/// BPF_F_*.
pub const NO_PREALLOC: u32 = 1;
pub const READ_ONLY: u32 = 1 << 3;
pub const WRITE_ONLY: u32 = 1 << 4;
pub const READ_ONLY_FOR_PROGRAMS: u32 = 1 << 7;

const CREATE: i32 = 0;
const LOOKUP: i32 = 1;
const UPDATE: i32 = 2;
const DELETE: i32 = 3;
const PROG_LOAD: i32 = 5;
const GET_FD_BY_ID: i32 = 14;
const GET_INFO: i32 = 15;
const FREEZE: i32 = 22;

/// What a map is made of.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    pub kind: u32,
    pub key: u32,
    pub value: u32,
    pub entries: u32,
    pub flags: u32,
    pub name: &'static str,
}

/// A map, by one of its open files.
pub struct Map {
    pub fd: OwnedFd,
    value: usize,
}

/// bpf(2).
fn bpf(command: i32, attributes: &[u64]) -> Result<i64, Errno> {
    // SAFETY: the attributes and what they point to outlive the call.
    Errno::result(unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), size_of_val(attributes)) })
}

/// Two 32-bit fields in one word, the first at the lower address.
fn pair(first: u32, second: u32) -> u64 {
    let mut both = [0; 8];
    both[..4].copy_from_slice(&first.to_ne_bytes());
    both[4..].copy_from_slice(&second.to_ne_bytes());
    u64::from_ne_bytes(both)
}

impl Map {
    /// Makes a map.
    pub fn new(form: Form) -> Verdict<Map> {
        let mut name = [0u8; 16];
        name[..form.name.len()].copy_from_slice(form.name.as_bytes());
        let word = |n: usize| u32::from_ne_bytes(name.as_chunks().0[n]);
        let attributes = [
            pair(form.kind, form.key),
            pair(form.value, form.entries),
            pair(form.flags, 0),
            pair(0, word(0)),
            pair(word(1), word(2)),
            pair(word(3), 0),
        ];
        Ok(Map { fd: owned(bpf(CREATE, &attributes)?)?, value: form.value as usize })
    }

    /// Another open file of it.
    pub fn open(&self, flags: u32) -> Verdict<Map> {
        let fd = owned(bpf(GET_FD_BY_ID, &[pair(self.id()?, 0), pair(flags, 0)])?)?;
        Ok(Map { fd, value: self.value })
    }

    fn number(&self) -> u64 {
        pair(self.fd.as_raw_fd() as u32, 0)
    }

    /// Sets an entry; `flags` 1: only a new one.
    pub fn set(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        bpf(UPDATE, &[self.number(), key.as_ptr() as u64, value.as_ptr() as u64, flags]).map(drop)
    }

    /// The value of an entry.
    pub fn get(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let mut value = vec![0; self.value];
        bpf(LOOKUP, &[self.number(), key.as_ptr() as u64, value.as_mut_ptr() as u64, 0])?;
        Ok(value)
    }

    /// Takes an entry away.
    pub fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        bpf(DELETE, &[self.number(), key.as_ptr() as u64, 0, 0]).map(drop)
    }

    /// Forbids changes.
    pub fn freeze(&self) -> Result<(), Errno> {
        bpf(FREEZE, &[self.number()]).map(drop)
    }

    /// The first ten words of what the kernel says: type, id, sizes, most entries, flags, name.
    pub fn info(&self) -> Result<[u32; 10], Errno> {
        let mut info = [0u32; 10];
        bpf(GET_INFO, &[pair(self.fd.as_raw_fd() as u32, size_of_val(&info) as u32), info.as_mut_ptr() as u64])?;
        Ok(info)
    }

    /// The number of the map.
    pub fn id(&self) -> Result<u32, Errno> {
        Ok(self.info()?[1])
    }

    /// What the kernel says but for the number.
    pub fn form(&self) -> Result<[u32; 10], Errno> {
        let mut info = self.info()?;
        info[1] = 0;
        Ok(info)
    }
}

/// A program that does nothing: a socket filter that returns 0.
pub fn program() -> Verdict<OwnedFd> {
    // r0 = 0; exit. The registers of the first share a byte whose halves are the other way round on big-endian CPUs.
    let code: [u64; 2] =
        [u64::from_ne_bytes([0xb7, 0, 0, 0, 0, 0, 0, 0]), u64::from_ne_bytes([0x95, 0, 0, 0, 0, 0, 0, 0])];
    let licence = c"GPL";
    let attributes = [pair(1, code.len() as u32), code.as_ptr() as u64, licence.as_ptr() as u64, 0, 0, 0];
    owned(bpf(PROG_LOAD, &attributes)?)
}
