//! Registers of threads as CRIU's messages hold them, both ways, for every CPU on every host; [`Here`] is the one that
//! this engine runs on.
//!
//! What CRIU's messages have no field for goes as it is into Stasis' own file.

mod aarch64;
mod ppc64;
mod s390x;
mod x86;

use crate::error::{Error, Result};
use crate::image::proto::{CoreEntry, StasisRegisterSet, StasisTaskEntry, core_entry::March};
use stasis_arch::native;
use stasis_arch::state::State;

/// A CPU's part of the core image.
pub trait CoreImage {
    /// Its integer registers.
    type Regs;
    /// Its number in the message.
    const MARCH: March;
    /// The register sets that the message has fields for.
    const IN_MESSAGE: &'static [u32];
    /// Puts a thread's registers (an interrupted call already wound back) and its state into the message.
    fn save(core: &mut CoreEntry, clear_tid: u64, regs: &Self::Regs, state: &State) -> Result<()>;
    /// Where the kernel writes zero at the thread's end; none where the message holds no registers of this CPU.
    fn clear_tid(core: &CoreEntry) -> Option<u64>;
    /// The registers of the message.
    fn regs(core: &CoreEntry) -> Result<Self::Regs>;
    /// Fills `state`, which the kernel gave for a fresh thread, with the state of the message.
    fn fill(core: &CoreEntry, state: &mut State) -> Result<()>;
}

/// The CPU of this engine.
pub type Here = native::Cpu;

/// An empty message of a thread on this CPU.
pub fn new() -> CoreEntry {
    CoreEntry { mtype: Here::MARCH as i32, ..CoreEntry::default() }
}

/// Saves a thread: into CRIU's message, and the rest into `extra`.
pub fn save(
    core: &mut CoreEntry,
    extra: &mut StasisTaskEntry,
    clear_tid: u64,
    regs: &native::Regs,
    state: &State,
) -> Result<()> {
    Here::save(core, clear_tid, regs, state)?;
    let rest = state.sets.iter().filter(|(note, _)| !Here::IN_MESSAGE.contains(note));
    extra.register_sets = rest.map(|(note, data)| StasisRegisterSet { note: *note, data: data.clone() }).collect();
    Ok(())
}

/// Whether the message holds registers of this CPU.
pub fn has_registers(core: &CoreEntry) -> bool {
    Here::clear_tid(core).is_some()
}

/// Where the kernel writes zero at the thread's end.
pub fn clear_tid(core: &CoreEntry) -> Result<u64> {
    Here::clear_tid(core).ok_or_else(without)
}

/// The registers of a thread.
pub fn regs(core: &CoreEntry) -> Result<native::Regs> {
    Here::regs(core)
}

/// The state of a thread, to be set in a fresh one that has `fresh`.
pub fn state(core: &CoreEntry, extra: &StasisTaskEntry, fresh: &State) -> Result<State> {
    let mut state = fresh.clone();
    Here::fill(core, &mut state)?;
    for set in &extra.register_sets {
        state.put(set.note, set.data.clone());
    }
    Ok(native::state::to_set(&state, fresh))
}

/// An error for images of another CPU.
pub fn check(core: &CoreEntry) -> Result<()> {
    if core.mtype == Here::MARCH as i32 {
        return Ok(());
    }
    let theirs = March::try_from(core.mtype).map_or("an unknown CPU", |march| march.as_str_name());
    let what = format!("the images were made on {theirs} and this machine is {}", Here::MARCH.as_str_name());
    Err(Error::state(what).with_help("restore on a machine of the same architecture"))
}

fn without() -> Error {
    Error::state("an image without registers")
}

/// Words of 64 bits in the byte order of the CPU.
fn words64(bytes: &[u8], big: bool) -> Vec<u64> {
    let word = |c: &[u8]| c.try_into().map_or(0, if big { u64::from_be_bytes } else { u64::from_le_bytes });
    bytes.chunks_exact(8).map(word).collect()
}

/// Words of 64 bits as bytes in the byte order of the CPU: exactly `count`, zeros where the image holds fewer.
fn bytes64(words: &[u64], count: usize, big: bool) -> Vec<u8> {
    let order = if big { u64::to_be_bytes } else { u64::to_le_bytes };
    let padded = words.iter().copied().chain(std::iter::repeat(0)).take(count);
    padded.flat_map(order).collect()
}

/// A word of 32 bits at `at`; zero where there are not that many bytes.
fn word32(bytes: &[u8], at: usize, big: bool) -> u32 {
    let word = bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).unwrap_or_default();
    if big { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
}
