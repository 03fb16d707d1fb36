//! What this CPU can do, in one form for all CPUs: the features that a restored program may depend on.

#[cfg(target_arch = "x86_64")]
#[path = "x86_64/cpuid.rs"]
mod native;

#[cfg(not(target_arch = "x86_64"))]
mod native {
    //! CPUs whose kernel says all that matters in the auxiliary vector.

    use super::{Breakpoints, CpuFeatures, MapVdso};

    pub const MAP_VDSO: Option<MapVdso> = None;

    #[cfg(target_arch = "aarch64")]
    pub const BREAKPOINTS: Option<Breakpoints> = Some(Breakpoints::RegisterSet(0x402));
    #[cfg(not(target_arch = "aarch64"))]
    pub const BREAKPOINTS: Option<Breakpoints> = None;

    pub fn features() -> CpuFeatures {
        CpuFeatures::Hwcap
    }
}

/// The number of feature words of an x86 CPU. See [`X86Features::words`].
pub const X86_WORDS: usize = 31;

/// The features of the CPU that runs this. Large, but there is only ever one of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)]
pub enum CpuFeatures {
    /// An x86 CPU, by CPUID.
    X86(X86Features),
    /// Any other: AT_HWCAP and its successors in the auxiliary vector say it all.
    Hwcap,
}

/// Who made an x86 CPU; the numbers are those of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum X86Vendor {
    /// Neither of the others.
    Unknown = 0,
    /// `GenuineIntel`.
    Intel = 1,
    /// `AuthenticAMD`, and Hygon's CPUs which are the same.
    Amd = 2,
}

/// What CPUID says about an x86 CPU. Compiles on every host, so that images of one CPU can be read on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct X86Features {
    /// Leaf 0.
    pub vendor: X86Vendor,
    /// Leaf 1, EAX: display family (extended family added).
    pub family: u32,
    /// Leaf 1, EAX: display model (extended model above).
    pub model: u32,
    /// Leaf 1, EAX bits 3:0.
    pub stepping: u32,
    /// Raw CPUID output, one register a word. The first 21 lie where the kernel's `enum cpuid_leafs` has them, and
    /// where that has words of the kernel's own making (3, 7, 8, 11) we have zero. `L.S` is leaf and subleaf:
    ///
    /// | word | source | word | source | word | source |
    /// |---|---|---|---|---|---|
    /// | 0 | 1 EDX | 10 | d.1 EAX | 19 | 8000001f EAX |
    /// | 1 | 80000001 EDX | 12 | 7.1 EAX | 20 | 80000021 EAX |
    /// | 2 | 80860001 EDX | 13 | 80000008 EBX | 21 | 7.1 EBX |
    /// | 4 | 1 ECX | 14 | 6 EAX | 22 | 7.1 ECX |
    /// | 5 | c0000001 EDX | 15 | 8000000a EDX | 23 | 7.1 EDX |
    /// | 6 | 80000001 ECX | 16 | 7.0 ECX | 24 | 7.2 EDX |
    /// | 9 | 7.0 EBX | 17 | 80000007 EBX | 25 | 19 EBX |
    /// | | | 18 | 7.0 EDX | 26, 27 | 1e.1 EAX, 24 EBX |
    ///
    /// Words 28 to 30 are zero.
    pub words: [u32; X86_WORDS],
    /// Leaves 0x80000002 to 4: the marketing name, padded with zero bytes; all zero when the CPU has none.
    pub model_id: [u8; 48],
    /// XCR0: the components of the extended state that the kernel has switched on; zero without XSAVE.
    pub xfeatures: u64,
    /// Leaf d.0 EBX: bytes of an XSAVE area for `xfeatures`.
    pub xsave_size: u32,
    /// Leaf d.0 ECX: bytes of an XSAVE area for everything the CPU has.
    pub xsave_size_max: u32,
}

/// How a vDSO can be asked for at an address: x86's `arch_prctl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapVdso {
    /// The number of `arch_prctl`.
    pub call: i64,
    /// Its code for the native vDSO.
    pub native: i32,
    /// Its code for the vDSO of 32-bit programs.
    pub compat: i32,
    /// Its code that tells whether the calling thread has a shadow stack.
    pub shadow_stack_status: i32,
}

/// How hardware breakpoints are set through ptrace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breakpoints {
    /// By PTRACE_POKEUSER: byte offset in `struct user` of the first debug register; the eighth enables them.
    UserArea(usize),
    /// By PTRACE_SETREGSET of this note type.
    RegisterSet(u32),
}

/// How a vDSO can be asked for at an address; absent where the kernel has no such call.
pub const MAP_VDSO: Option<MapVdso> = native::MAP_VDSO;

/// How hardware breakpoints are set; absent where they cannot be.
pub const BREAKPOINTS: Option<Breakpoints> = native::BREAKPOINTS;

/// The features of the CPU that runs this. Costs some microseconds (under a hypervisor each CPUID is an exit): keep it.
pub fn features() -> CpuFeatures {
    native::features()
}
