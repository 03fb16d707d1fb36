//! The register sets of POWER besides the integer registers, and the order in which they are set.

use crate::state::State;

pub use crate::state::NT_PRFPREG;

/// Vector registers: 32 of 16 bytes, VSCR, VRSAVE.
pub const NT_PPC_VMX: u32 = 0x100;
/// The lower halves of the first 32 vector-scalar registers.
pub const NT_PPC_VSX: u32 = 0x102;
/// Target address register.
pub const NT_PPC_TAR: u32 = 0x103;
/// Program priority.
pub const NT_PPC_PPR: u32 = 0x104;
/// Data stream control.
pub const NT_PPC_DSCR: u32 = 0x105;
/// Event based branching.
pub const NT_PPC_EBB: u32 = 0x106;
/// The general registers at the start of a transaction.
pub const NT_PPC_TM_CGPR: u32 = 0x108;
/// The state of transactional memory.
pub const NT_PPC_TM_SPR: u32 = 0x10c;
/// Protection keys.
pub const NT_PPC_PKEY: u32 = 0x110;

/// The sets that are saved, where the CPU has them, in the order in which they are to be set.
pub const SETS: &[u32] = &[
    NT_PRFPREG,
    NT_PPC_VMX,
    NT_PPC_VSX,
    NT_PPC_TAR,
    NT_PPC_PPR,
    NT_PPC_DSCR,
    NT_PPC_EBB,
    NT_PPC_TM_CGPR,
    NT_PPC_TM_SPR,
    NT_PPC_PKEY,
];

/// The sets of a thread outside of a call that the calls of a batch would destroy: none.
pub const LOST_IN_CALLS: &[u32] = &[];

/// Entries of the descriptor table that belong to a thread: none on this CPU.
pub const DESCRIPTORS: core::ops::Range<u32> = 0..0;

/// Whether a set of [`LOST_IN_CALLS`] holds something that calls would destroy.
pub fn is_live(_note: u32, _set: &[u8]) -> bool {
    false
}

/// What of `state` is to be set in a thread that has `fresh`.
pub fn to_set(state: &State, fresh: &State) -> State {
    const READ_ONLY: [u32; 3] = [NT_PPC_EBB, NT_PPC_TM_CGPR, NT_PPC_PKEY];
    let mut out = State::default();
    for (note, set) in &state.sets {
        let written = !READ_ONLY.contains(note) && fresh.get(*note) != Some(set.as_slice());
        if written {
            out.sets.push((*note, set.clone()));
        }
    }
    out
}

/// State that cannot be brought back, in words.
pub fn refused(state: &State) -> Option<&'static str> {
    // The set of the registers at its start exists only within a transaction.
    if state.get(NT_PPC_TM_CGPR).is_some() {
        return Some("it is in a transaction of transactional memory, which is not supported");
    }
    state.get(NT_PPC_EBB).is_some().then_some("it uses event based branching, which is not supported")
}
