//! The extended state (x87, SSE, AVX, AVX-512, protection keys, AMX) in the XSAVE standard format, as NT_X86_XSTATE
//! gives and takes it. Intel SDM volume 1, chapter 13.

/// The size of the legacy area (FXSAVE).
pub const LEGACY: usize = 512;
/// Where `xstate_bv`, the mask of components that are not in their initial configuration, stands.
pub const XSTATE_BV: usize = 512;
/// Where the extended components begin at the earliest.
pub const HEADER_END: usize = 576;
/// The kernel keeps the mask of features that it enabled (XCR0) in the software bytes of the legacy area.
pub const SW_XFEATURES: usize = 464;

/// The components' numbers: bits of `xstate_bv`.
pub mod component {
    /// x87.
    pub const FP: u32 = 0;
    /// SSE: xmm registers and MXCSR.
    pub const SSE: u32 = 1;
    /// The upper halves of ymm0 to ymm15.
    pub const YMM: u32 = 2;
    /// MPX bound registers.
    pub const BNDREG: u32 = 3;
    /// MPX configuration.
    pub const BNDCSR: u32 = 4;
    /// AVX-512 mask registers.
    pub const OPMASK: u32 = 5;
    /// The upper halves of zmm0 to zmm15.
    pub const ZMM_HI256: u32 = 6;
    /// zmm16 to zmm31.
    pub const HI16_ZMM: u32 = 7;
    /// Protection key rights.
    pub const PKRU: u32 = 9;
    /// AMX tile configuration.
    pub const XTILE_CFG: u32 = 17;
    /// AMX tiles.
    pub const XTILE_DATA: u32 = 18;
}

/// The components that CRIU's images have fields for.
pub const PORTABLE: u64 = 0b10_1111_1111;

/// Where each component stands in the standard format on this CPU.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Bytes of the whole area with every enabled component.
    pub size: usize,
    /// Offset and length of each component in bytes; (0, 0) where the CPU lacks it.
    pub components: [(usize, usize); 32],
}

impl Layout {
    /// The bytes of a component in `area`; `None` where the CPU or the area lacks it.
    pub fn find<'a>(&self, area: &'a [u8], component: u32) -> Option<&'a [u8]> {
        let (offset, len) = self.components[component as usize];
        if len == 0 { None } else { area.get(offset..offset + len) }
    }

    /// The same, to change.
    pub fn find_mut<'a>(&self, area: &'a mut [u8], component: u32) -> Option<&'a mut [u8]> {
        let (offset, len) = self.components[component as usize];
        if len == 0 { None } else { area.get_mut(offset..offset + len) }
    }

    /// The layout of the CPU that this runs on (CPUID leaf 0xD).
    #[cfg(target_arch = "x86_64")]
    pub fn native() -> Layout {
        use core::arch::x86_64::__cpuid_count;
        let mut layout = Layout { size: HEADER_END, components: [(0, 0); 32] };
        let main = __cpuid_count(0xd, 0);
        let supported = u64::from(main.eax) | u64::from(main.edx) << 32;
        for i in 2..32 {
            if supported & (1 << i) != 0 {
                let leaf = __cpuid_count(0xd, i as u32);
                layout.components[i] = (leaf.ebx as usize, leaf.eax as usize);
                layout.size = layout.size.max(leaf.ebx as usize + leaf.eax as usize);
            }
        }
        layout
    }

    /// The layout of an x86 CPU, which this is not: nothing has a place.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn native() -> Layout {
        Layout { size: HEADER_END, components: [(0, 0); 32] }
    }
}

/// The components in `area` that CRIU's message has no field for and that are in use.
pub fn beyond_portable(area: &[u8]) -> u64 {
    let word = area.get(XSTATE_BV..HEADER_END).and_then(|header| header.first_chunk());
    word.map_or(0, |bits| u64::from_le_bytes(*bits) & !PORTABLE)
}
