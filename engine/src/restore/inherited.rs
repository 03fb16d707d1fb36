//! What the root of a tree has from the engine, because an exec keeps it. The images say what a process had that was not
//! the default; so the defaults come first. What nobody can give up is told.

use super::load::Images;
use crate::error::Result;
use crate::proc::ProcDir;
use crate::proc::status::{self, Status};
use crate::remote::Batch;
use crate::sys::process::{Attribute, attribute};
use zerocopy::IntoBytes;

/// How a thread that asked for nothing is told of corrupted memory.
const MCE_KILL_DEFAULT: u64 = 2;

/// Adds the calls by which a fresh process, whose directory in /proc is `dir`, takes the defaults, where it has
/// something else from the engine.
pub fn shed(batch: &mut Batch, dir: &ProcDir) -> Result<()> {
    const PR_SET_MEMORY_MERGE: u64 = 67;
    // Not the engine's: the C library takes signals for itself as soon as there is a second thread.
    let ignored = status::read(dir, &mut Vec::new())?.signals.ignored;
    for signal in (1..=64).filter(|signal| ignored & 1 << (signal - 1) != 0) {
        let default = batch.put([0u64; 4].as_bytes());
        batch.call(libc::SYS_rt_sigaction, &[signal, default.0, 0, 8]);
    }
    // Reading could imply executing for all that is mapped from here on. (Some CPUs do not let go of PER_LINUX32.)
    batch.call(libc::SYS_personality, &[0]);
    let differs = |which, default| attribute(which).is_some_and(|value| value != default);
    if differs(Attribute::HugePagesOff, 0) {
        batch.call(libc::SYS_prctl, &[libc::PR_SET_THP_DISABLE as u64, 0, 0, 0, 0]);
    }
    if differs(Attribute::MergesPages, 0) {
        batch.call(libc::SYS_prctl, &[PR_SET_MEMORY_MERGE, 0, 0, 0, 0]);
    }
    if differs(Attribute::MemoryFailure, MCE_KILL_DEFAULT) {
        batch.call(libc::SYS_prctl, &[libc::PR_MCE_KILL as u64, libc::PR_MCE_KILL_CLEAR as u64, 0, 0, 0]);
    }
    Ok(())
}

/// Tells what the restored processes have from the engine and did not have before.
pub fn tell(images: &Images) -> Result<()> {
    let own = status::read(&ProcDir::current()?, &mut Vec::new())?;
    for what in kept(images, &own) {
        tracing::warn!("the engine runs with {what}: so do the restored processes, some of which did not before");
    }
    Ok(())
}

fn kept(images: &Images, own: &Status) -> Vec<&'static str> {
    /// Every other secure bit locks the one below it.
    const LOCKS: u64 = 0xaaaa_aaaa;
    let threads = || images.tasks.iter().filter(|task| !task.is_zombie()).flat_map(|task| &task.threads);
    let cores = || threads().filter_map(|thread| thread.core.thread_core.as_ref());
    let creds = || cores().filter_map(|core| core.creds.as_ref());
    let locked = attribute(Attribute::SecureBits).unwrap_or(0) & LOCKS;
    let leaders = || images.tasks.iter().filter_map(|task| task.threads.first());
    let denies = attribute(Attribute::DenyWriteExecute).is_some_and(|bits| bits != 0);
    let all = [
        ("no_new_privs", own.no_new_privs == Some(true) && creds().any(|c| c.no_new_privs.unwrap_or(0) == 0)),
        ("locked secure bits", creds().any(|c| u64::from(c.secbits) & locked != locked)),
        ("memory that may not be written and executed", denies && leaders().any(|t| t.extra.mdwe.is_none())),
        (
            "a seccomp filter",
            own.seccomp.is_some_and(|mode| mode != 0) && cores().any(|c| c.seccomp_mode.unwrap_or(0) == 0),
        ),
    ];
    all.into_iter().filter(|(_, so)| *so).map(|(what, _)| what).collect()
}
