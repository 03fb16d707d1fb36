//! The register sets of s390x besides the integer registers, and the order in which they are set.

use crate::state::State;

pub use crate::state::NT_PRFPREG;

/// The right halves of the vector registers 0 to 15.
pub const NT_S390_VXRS_LOW: u32 = 0x309;
/// The vector registers 16 to 31.
pub const NT_S390_VXRS_HIGH: u32 = 0x30a;
/// Guarded storage: the thread's control block.
pub const NT_S390_GS_CB: u32 = 0x30b;
/// Guarded storage: the control block that is broadcast to all threads.
pub const NT_S390_GS_BC: u32 = 0x30c;
/// Runtime instrumentation.
pub const NT_S390_RI_CB: u32 = 0x30d;

/// The sets that are saved, where the CPU has them, in the order in which they are to be set. What a transaction left
/// behind (NT_S390_TDB) and the last branch (NT_S390_LAST_BREAK) cannot be set.
pub const SETS: &[u32] =
    &[NT_PRFPREG, NT_S390_VXRS_LOW, NT_S390_VXRS_HIGH, NT_S390_GS_CB, NT_S390_GS_BC, NT_S390_RI_CB];

/// The sets of a thread outside of a call that the calls of a batch would destroy: none.
pub const LOST_IN_CALLS: &[u32] = &[];

/// Entries of the descriptor table that belong to a thread: none on this CPU.
pub const DESCRIPTORS: core::ops::Range<u32> = 0..0;

/// The bits of the mask that choose the address space.
pub const PSW_ADDRESS_SPACE: u64 = 0x0000_c000_0000_0000;

/// Whether a set of [`LOST_IN_CALLS`] holds something that calls would destroy.
pub fn is_live(_note: u32, _set: &[u8]) -> bool {
    false
}

/// What of `state` is to be set in a thread that has `fresh`.
pub fn to_set(state: &State, fresh: &State) -> State {
    let differs = |(note, set): &&(u32, alloc::vec::Vec<u8>)| fresh.get(*note) != Some(set.as_slice());
    State { sets: state.sets.iter().filter(differs).cloned().collect(), ..State::default() }
}

/// State that cannot be brought back, in words.
pub fn refused(_state: &State) -> Option<&'static str> {
    None
}
