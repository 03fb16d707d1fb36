//! The register sets of AArch64 besides the integer registers, and the order in which they are set.

use crate::state::State;

pub use crate::state::NT_PRFPREG;

/// TPIDR_EL0, and TPIDR2_EL0 where the CPU has it: 8 bytes each.
pub const NT_ARM_TLS: u32 = 0x401;
/// SVE: a header, then registers of the thread's vector length.
pub const NT_ARM_SVE: u32 = 0x405;
/// The masks of pointer authentication codes, read only.
pub const NT_ARM_PAC_MASK: u32 = 0x406;
/// The four address keys, 16 bytes each: instruction A, B, data A, B.
pub const NT_ARM_PACA_KEYS: u32 = 0x407;
/// The generic key, 16 bytes.
pub const NT_ARM_PACG_KEYS: u32 = 0x408;
/// Tagged addresses and memory tagging, PR_SET_TAGGED_ADDR_CTRL.
pub const NT_ARM_TAGGED_ADDR_CTRL: u32 = 0x409;
/// Which keys are switched on, PR_PAC_SET_ENABLED_KEYS.
pub const NT_ARM_PAC_ENABLED_KEYS: u32 = 0x40a;
/// SVE registers of the streaming mode.
pub const NT_ARM_SSVE: u32 = 0x40b;
/// The SME array.
pub const NT_ARM_ZA: u32 = 0x40c;
/// The SME 2 table.
pub const NT_ARM_ZT: u32 = 0x40d;
/// Floating-point mode.
pub const NT_ARM_FPMR: u32 = 0x40e;
/// Permission overlay.
pub const NT_ARM_POE: u32 = 0x40f;
/// Guarded control stack.
pub const NT_ARM_GCS: u32 = 0x410;

/// The sets that are saved, where the CPU has them, in the order in which they are to be set: the vectors after the
/// floating-point registers, which are a part of them.
pub const SETS: &[u32] = &[
    NT_ARM_TLS,
    NT_ARM_TAGGED_ADDR_CTRL,
    NT_ARM_PACA_KEYS,
    NT_ARM_PACG_KEYS,
    NT_ARM_PAC_ENABLED_KEYS,
    NT_PRFPREG,
    NT_ARM_SSVE,
    NT_ARM_SVE,
    NT_ARM_ZA,
    NT_ARM_ZT,
    NT_ARM_FPMR,
    NT_ARM_POE,
    NT_ARM_GCS,
];

/// The sets of a thread outside of a call that the calls of a batch would destroy.
pub const LOST_IN_CALLS: &[u32] = &[NT_ARM_SSVE, NT_ARM_SVE];

/// Entries of the descriptor table that belong to a thread: none on this CPU.
pub const DESCRIPTORS: core::ops::Range<u32> = 0..0;

/// NT_PRFPREG without its padding: 32 registers of 16 bytes, FPSR, FPCR.
pub const FPSIMD_LEN: usize = 520;

/// The bits of pstate that hold the type of the last branch.
pub const PSTATE_BTYPE: u64 = 3 << 10;

/// The header of the vector sets: size, largest size, vector length, largest vector length, flags, reserved.
const HEADER: usize = 16;
/// The flag for registers in the format of SVE.
const FLAG_SVE: u16 = 1;

fn flags(set: &[u8]) -> u16 {
    set.get(12..14).map_or(0, |bytes| u16::from_ne_bytes([bytes[0], bytes[1]]))
}

/// The vector length of a set in bytes.
pub fn vector_length(set: &[u8]) -> u16 {
    set.get(8..10).map_or(0, |bytes| u16::from_ne_bytes([bytes[0], bytes[1]]))
}

/// Whether a set of [`LOST_IN_CALLS`] holds something that calls would destroy.
pub fn is_live(_note: u32, set: &[u8]) -> bool {
    set.len() > HEADER && flags(set) & FLAG_SVE != 0
}

/// What of `state` is to be set in a thread that has `fresh`. Setting a vector set switches its mode on: the streaming
/// registers are left out unless the thread was in streaming mode, and the array unless it was in use.
pub fn to_set(state: &State, fresh: &State) -> State {
    let mut out = State::default();
    let streaming = state.get(NT_ARM_SSVE).is_some_and(|set| is_live(NT_ARM_SSVE, set));
    let array = state.get(NT_ARM_ZA).is_some_and(|set| set.len() > HEADER);
    for (note, set) in &state.sets {
        let needed = match *note {
            NT_ARM_SSVE => streaming || fresh.get(NT_ARM_SSVE).is_some_and(|f| vector_length(f) != vector_length(set)),
            // Setting it would leave streaming mode.
            NT_ARM_SVE => !streaming,
            NT_ARM_ZA => array,
            NT_ARM_ZT => array,
            NT_ARM_GCS => false,
            _ => fresh.get(*note) != Some(set.as_slice()),
        };
        if needed {
            out.sets.push((*note, set.clone()));
        }
    }
    out
}

/// State that cannot be brought back, in words.
pub fn refused(state: &State) -> Option<&'static str> {
    let enabled = state.get(NT_ARM_GCS).is_some_and(|set| set.first().is_some_and(|b| b & 1 != 0));
    enabled.then_some("it has a guarded control stack, which is not supported")
}
