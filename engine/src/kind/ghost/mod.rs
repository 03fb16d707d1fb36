//! Deleted files that are still open, mapped or run: those without any name are saved whole (ghosts), those that have
//! another name somewhere get a new one beside the old (`--link-remap`). At restore they get their names back for the
//! moment in which they are opened, so that /proc shows the same path. Contents, holes, owner, mode, times and
//! extended attributes survive; inode numbers and attributes of chattr(1) do not.

mod found;
mod links;
mod made;
mod make;
mod name;
mod restore;
mod save;
#[cfg(test)]
mod tests;

pub use found::{Ghosts, dump, dump_dead};
pub use links::LinkRemaps;
pub use restore::{Restorer, open, open_dead};

/// What the kernel puts behind the path of a deleted file.
pub(super) const DELETED: &[u8] = b" (deleted)";
/// What the names made by `--link-remap` begin with, as CRIU's do.
const LINK_REMAP: &str = "link_remap.";

/// A path's directory and its last part.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}
