//! CPUID and XCR0 of x86-64.
//!
//! Sources: Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E; `enum cpuid_leafs` of the kernel's
//! `asm/cpufeature.h` for the order of the words.

use core::arch::x86_64::{__cpuid_count, _xgetbv, CpuidResult};

use super::{Breakpoints, CpuFeatures, MapVdso, X86_WORDS, X86Features, X86Vendor};

/// `arch_prctl` and its ARCH_MAP_VDSO_64, ARCH_MAP_VDSO_32 and ARCH_SHSTK_STATUS.
pub const MAP_VDSO: Option<MapVdso> =
    Some(MapVdso { call: 158, native: 0x2003, compat: 0x2002, shadow_stack_status: 0x5005 });

/// `offsetof(struct user, u_debugreg)`.
pub const BREAKPOINTS: Option<Breakpoints> = Some(Breakpoints::UserArea(848));

/// One register of a CPUID answer.
#[derive(Clone, Copy)]
enum Register {
    Eax,
    Ebx,
    Ecx,
    Edx,
}

use Register::{Eax, Ebx, Ecx, Edx};

/// Where each word comes from: word, leaf, subleaf, register.
const SOURCES: &[(usize, u32, u32, Register)] = &[
    (0, 1, 0, Edx),
    (1, 0x8000_0001, 0, Edx),
    (2, 0x8086_0001, 0, Edx),
    (4, 1, 0, Ecx),
    (5, 0xc000_0001, 0, Edx),
    (6, 0x8000_0001, 0, Ecx),
    (9, 7, 0, Ebx),
    (10, 0xd, 1, Eax),
    (12, 7, 1, Eax),
    (13, 0x8000_0008, 0, Ebx),
    (14, 6, 0, Eax),
    (15, 0x8000_000a, 0, Edx),
    (16, 7, 0, Ecx),
    (17, 0x8000_0007, 0, Ebx),
    (18, 7, 0, Edx),
    (19, 0x8000_001f, 0, Eax),
    (20, 0x8000_0021, 0, Eax),
    (21, 7, 1, Ebx),
    (22, 7, 1, Ecx),
    (23, 7, 1, Edx),
    (24, 7, 2, Edx),
    (25, 0x19, 0, Ebx),
    (26, 0x1e, 1, Eax),
    (27, 0x24, 0, Ebx),
];

/// CPUID.1:ECX: the operating system has enabled XGETBV and XSAVE.
const OSXSAVE: u32 = 1 << 27;

/// Asks this CPU.
pub fn features() -> CpuFeatures {
    let mut words = [0; X86_WORDS];
    for &(word, leaf, subleaf, register) in SOURCES {
        words[word] = pick(cpuid(leaf, subleaf), register);
    }
    let (family, model, stepping) = signature(cpuid(1, 0).eax);
    let xsave = if words[4] & OSXSAVE == 0 { None } else { Some(cpuid(0xd, 0)) };
    CpuFeatures::X86(X86Features {
        vendor: vendor(cpuid(0, 0)),
        family,
        model,
        stepping,
        words,
        model_id: model_id(),
        // SAFETY: OSXSAVE says that the instruction exists and is enabled.
        xfeatures: if xsave.is_some() { unsafe { xcr0() } } else { 0 },
        xsave_size: xsave.map_or(0, |x| x.ebx),
        xsave_size_max: xsave.map_or(0, |x| x.ecx),
    })
}

/// The answer for a leaf, zeros where the CPU has no such leaf or subleaf: CPUs answer something else then.
fn cpuid(leaf: u32, subleaf: u32) -> CpuidResult {
    const NOTHING: CpuidResult = CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 };
    let base = leaf & 0xffff_0000;
    let highest = raw(base, 0).eax;
    if highest & 0xffff_0000 != base || leaf > highest {
        return NOTHING;
    }
    // Leaf 7 says how many subleaves it has; the subleaves of the others that we ask for read as zero when absent.
    if leaf == 7 && subleaf > raw(7, 0).eax { NOTHING } else { raw(leaf, subleaf) }
}

fn raw(leaf: u32, subleaf: u32) -> CpuidResult {
    __cpuid_count(leaf, subleaf)
}

fn pick(answer: CpuidResult, register: Register) -> u32 {
    match register {
        Eax => answer.eax,
        Ebx => answer.ebx,
        Ecx => answer.ecx,
        Edx => answer.edx,
    }
}

/// Display family, display model and stepping of leaf 1's EAX.
fn signature(eax: u32) -> (u32, u32, u32) {
    let base = eax >> 8 & 0xf;
    let family = if base == 0xf { base + (eax >> 20 & 0xff) } else { base };
    let low = eax >> 4 & 0xf;
    let model = if base == 0x6 || base == 0xf { (eax >> 16 & 0xf) << 4 | low } else { low };
    (family, model, eax & 0xf)
}

fn vendor(leaf0: CpuidResult) -> X86Vendor {
    let mut name = [0; 12];
    for (bytes, word) in name.chunks_exact_mut(4).zip([leaf0.ebx, leaf0.edx, leaf0.ecx]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    match &name {
        b"GenuineIntel" => X86Vendor::Intel,
        b"AuthenticAMD" | b"HygonGenuine" => X86Vendor::Amd,
        _ => X86Vendor::Unknown,
    }
}

fn model_id() -> [u8; 48] {
    let mut name = [0; 48];
    for (leaf, bytes) in (0x8000_0002..).zip(name.chunks_exact_mut(16)) {
        let answer = cpuid(leaf, 0);
        for (bytes, word) in bytes.chunks_exact_mut(4).zip([answer.eax, answer.ebx, answer.ecx, answer.edx]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
    }
    name
}

#[target_feature(enable = "xsave")]
fn xcr0() -> u64 {
    // SAFETY: the caller knows that OSXSAVE is set; register 0 always exists then.
    unsafe { _xgetbv(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_of_known_processors() {
        // Intel Xeon Skylake-SP, AMD EPYC Milan, Pentium III.
        assert_eq!(signature(0x0005_0654), (6, 0x55, 4));
        assert_eq!(signature(0x00a0_0f11), (0x19, 1, 1));
        assert_eq!(signature(0x0000_068a), (6, 8, 10));
    }

    #[test]
    fn this_cpu_has_what_x86_64_requires() {
        let CpuFeatures::X86(features) = features() else { panic!("this is x86-64") };
        // FPU, TSC, CMOV, FXSR, SSE, SSE2; long mode.
        for bit in [0, 4, 15, 24, 25, 26] {
            assert_ne!(features.words[0] & 1 << bit, 0, "bit {bit}");
        }
        assert_ne!(features.words[1] & 1 << 29, 0);
        assert!(features.family >= 6);
        if features.xfeatures != 0 {
            assert_eq!(features.xfeatures & 3, 3);
            assert!(features.xsave_size >= 576 && features.xsave_size <= features.xsave_size_max);
        }
    }

    #[test]
    fn absent_leaves_are_zero() {
        assert_eq!(cpuid(0x4fff_0000 | 0xffff, 0).eax, 0);
        assert_eq!(cpuid(0xffff, 0).eax, 0);
    }
}
