//! The register sets of x86-64 besides the integer registers.

use crate::state::State;
use alloc::vec::Vec;

/// The extended state, see [`super::xstate`].
pub const NT_XSTATE: u32 = 0x202;

/// The sets that are saved.
pub const SETS: &[u32] = &[NT_XSTATE];

/// The sets of a thread outside of a call that the calls of a batch would destroy: none.
pub const LOST_IN_CALLS: &[u32] = &[];

/// The entries of the descriptor table that belong to a thread.
pub const DESCRIPTORS: core::ops::Range<u32> = 12..15;

/// Whether a set of [`LOST_IN_CALLS`] holds something that calls would destroy.
pub fn is_live(_note: u32, _set: &[u8]) -> bool {
    false
}

/// What of `state` is to be set in a thread that has `fresh`.
pub fn to_set(state: &State, _fresh: &State) -> State {
    let descriptors: Vec<_> = state.descriptors.iter().filter(|(_, desc)| desc.is_some()).copied().collect();
    State { sets: state.sets.clone(), descriptors }
}

/// State that cannot be brought back, in words.
pub fn refused(state: &State) -> Option<&'static str> {
    // A task must use the unit itself before the kernel takes its state from a tracer.
    let beyond = state.get(NT_XSTATE).is_some_and(|area| super::xstate::beyond_portable(area) != 0);
    beyond.then_some("it has AMX tiles in use, which is not supported")
}
