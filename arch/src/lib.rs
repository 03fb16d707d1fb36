//! Per-CPU facts: registers, the system call ABI, the batch's stub, the way home, the seed's ELF machine, the layout
//! of the extended state. Knows nothing of images, of /proc or of ptrace; every layout compiles on every host.
//!
//! `native` is the CPU that this engine runs on; it is the only gate on the CPU in the whole workspace.
#![no_std]

pub mod code;
pub mod cpu;
pub mod x86_64;

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
