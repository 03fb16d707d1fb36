//! Per-CPU facts: registers, the system call ABI, the batch's stub, the way home, the seed's ELF machine, the layout
//! of the extended state. Knows nothing of images, of /proc or of ptrace; every layout compiles on every host.
//!
//! `native` is the CPU that this engine runs on; it is the only gate on the CPU in the whole workspace.
#![no_std]

extern crate alloc;

pub mod aarch64;
pub mod code;
pub mod cpu;
pub mod ppc64;
pub mod s390x;
pub mod state;
pub mod x86_64;

#[cfg(target_arch = "aarch64")]
pub use aarch64 as native;
#[cfg(target_arch = "powerpc64")]
pub use ppc64 as native;
#[cfg(target_arch = "s390x")]
pub use s390x as native;
#[cfg(target_arch = "x86_64")]
pub use x86_64 as native;

/// A system call as the stub executes it: number, arguments, and where its result goes. 64 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, zerocopy::IntoBytes, zerocopy::FromBytes, zerocopy::Immutable)]
pub struct Entry {
    /// The system call's number.
    pub nr: i64,
    /// Its six arguments.
    pub args: [u64; 6],
    /// What it returned: the kernel's raw result, −errno on failure.
    pub ret: i64,
}

const _: () = assert!(size_of::<Entry>() == 64);

/// How the settings of a terminal are asked for, and where in the structure is what moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Termios {
    /// The request that asks, with both speeds.
    pub get: u64,
    /// The request that sets at once.
    pub set: u64,
    /// Offset of the line discipline.
    pub line: usize,
    /// Offset of the control characters.
    pub cc: usize,
}

impl Termios {
    /// TCGETS2 and TCSETS2 with a `struct termios2`.
    pub const GENERIC: Termios = Termios { get: 0x802c_542a, set: 0x402c_542b, line: 16, cc: 17 };
    /// TCGETS and TCSETS with POWER's `struct termios`, which has the speeds.
    pub const POWER: Termios = Termios { get: 0x402c_7413, set: 0x802c_7414, line: 35, cc: 16 };
}

/// Where the way home, the empty set and the time limit of a parked thread are.
#[derive(Debug, Clone, Copy)]
pub struct Park {
    /// The thread's way home.
    pub home: u64,
    /// Eight zero bytes.
    pub empty_set: u64,
    /// A timespec.
    pub timeout: u64,
}

/// The registers of a task of a CPU's other ABI, of 32 bits, as far as an interrupted call is concerned.
#[derive(Debug)]
pub struct Compat {
    /// The register set, and its length.
    pub set: state::RegisterSet,
    /// Where in it a call's result stands, 4 bytes.
    pub result: usize,
    /// Where the call's number stands.
    pub number: usize,
    /// The calls that end with EINTR when a tracer stops them, though no signal came.
    pub mended: &'static [i32],
}

impl Compat {
    /// Has a call that the tracer's stop ended begin again, unless a handler runs: whether `set` was changed.
    pub fn mend(&self, set: &mut [u8]) -> bool {
        const EINTR: i32 = -4;
        let word = |at: usize| set.get(at..at + 4).and_then(|b| b.try_into().ok()).map(i32::from_ne_bytes);
        let ended = set.len() == self.set.len
            && word(self.result) == Some(EINTR)
            && word(self.number).is_some_and(|number| self.mended.contains(&number));
        if ended {
            set[self.result..self.result + 4].copy_from_slice(&(restart::NO_HAND as i32).to_ne_bytes());
        }
        ended
    }
}

/// How an interrupted call ends, as far as a table of calls can tell (for CPUs whose kernel does not show it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// One of [`restart`].
    Restart(i64),
    /// With EINTR whatever the tracer does.
    Interrupted,
}

/// The kernel-internal results that a system call carries while a signal or a tracer interrupts it
/// (include/linux/errno.h). The kernel replaces them before user space runs again.
pub mod restart {
    /// Restart if the handler has SA_RESTART or no handler runs.
    pub const SYS: i64 = -512;
    /// Restart always.
    pub const NO_INTR: i64 = -513;
    /// Restart unless a handler runs.
    pub const NO_HAND: i64 = -514;
    /// Continue by restart_syscall(2), with what the kernel kept in the task's restart block.
    pub const BLOCK: i64 = -516;
}
