//! The state of a thread besides its integer registers: register sets as PTRACE_GETREGSET gives them, by their numbers.

use alloc::vec::Vec;

/// Register sets of a thread in the kernel's layout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Number (NT_*, linux/elf.h) and bytes, in the order in which they are to be set.
    pub sets: Vec<(u32, Vec<u8>)>,
    /// Entries of the descriptor table (x86): `struct user_desc`; `None` where the thread has none.
    pub descriptors: Vec<(u32, Option<[u32; 4]>)>,
}

impl State {
    /// The bytes of a set.
    pub fn get(&self, note: u32) -> Option<&[u8]> {
        self.sets.iter().find(|(n, _)| *n == note).map(|(_, bytes)| bytes.as_slice())
    }

    /// The same, to change.
    pub fn get_mut(&mut self, note: u32) -> Option<&mut Vec<u8>> {
        self.sets.iter_mut().find(|(n, _)| *n == note).map(|(_, bytes)| bytes)
    }

    /// Puts a set in place of the one of its number, or last.
    pub fn put(&mut self, note: u32, bytes: Vec<u8>) {
        match self.get_mut(note) {
            Some(place) => *place = bytes,
            None => self.sets.push((note, bytes)),
        }
    }
}

/// A part of a CPU's `Regs` that is a register set of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisterSet {
    /// NT_*.
    pub note: u32,
    /// Offset in `Regs`, in bytes.
    pub offset: usize,
    /// Length in bytes.
    pub len: usize,
}

/// NT_PRSTATUS: the integer registers.
pub const NT_PRSTATUS: u32 = 1;
/// NT_PRFPREG: the floating-point registers.
pub const NT_PRFPREG: u32 = 2;
