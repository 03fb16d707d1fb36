//! The words of a memory area's message: CRIU's status bits and the MAP_* bits that libc lacks.

/// Bits of `vma_entry.status`.
pub mod status {
    /// A mapping of the program's.
    pub const REGULAR: u32 = 1 << 0;
    /// The stack.
    pub const STACK: u32 = 1 << 1;
    /// x86's fixed page.
    pub const VSYSCALL: u32 = 1 << 2;
    /// The vDSO.
    pub const VDSO: u32 = 1 << 3;
    /// The heap that brk(2) moves.
    pub const HEAP: u32 = 1 << 5;
    /// A private mapping of a file.
    pub const FILE_PRIVATE: u32 = 1 << 6;
    /// A shared mapping of a file.
    pub const FILE_SHARED: u32 = 1 << 7;
    /// Shared anonymous memory.
    pub const ANON_SHARED: u32 = 1 << 8;
    /// Private anonymous memory.
    pub const ANON_PRIVATE: u32 = 1 << 9;
    /// System V shared memory.
    pub const SYSV: u32 = 1 << 10;
    /// A packet socket's ring.
    pub const SOCKET: u32 = 1 << 11;
    /// The data of the vDSO.
    pub const VVAR: u32 = 1 << 12;
    /// The ring of an AIO context.
    pub const AIO_RING: u32 = 1 << 13;
    /// A mapping of a memfd; also how CRIU 4 writes shared anonymous memory, as a memfd called `/dev/zero`.
    pub const MEMFD: u32 = 1 << 14;
    /// A shadow stack.
    pub const SHADOW_STACK: u32 = 1 << 15;
    /// Guard pages.
    pub const GUARD: u32 = 1 << 16;
    /// The kernel's uprobes page.
    pub const UPROBES: u32 = 1 << 17;
    /// A part of an io_uring instance; Stasis' own.
    pub const IO_URING: u32 = 1 << 30;
    /// It was writable once (`stasis_vma_flags.accounted`): never in an image, set when one is loaded.
    pub const ACCOUNTED: u32 = 1 << 31;
}

/// Branches into the area are guarded (AArch64; asm/mman.h).
pub const PROT_BTI: u32 = 0x10;

/// Memory that the kernel may drop at any time (Linux 6.11); a mapping type like MAP_PRIVATE.
pub const MAP_DROPPABLE: i32 = 0x08;
