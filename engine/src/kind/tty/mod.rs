//! A terminal: pseudo terminals with their numbers, settings, window size, locks, packet mode, owner, and the session
//! that they control; those whose other side is outside the tree, which the caller of the restore supplies (`--shell-job`,
//! `--external tty[…]`); consoles and serial lines, which are opened by their paths again.
//!
//! A pair whose master the tree has is made anew, with its number: the lowest free one is what `/dev/ptmx` gives, so
//! masters are opened until it comes. All pairs are there before the first process, because a session's terminal must
//! be that before its leader has children. What is queued in it is in `queue`.

mod found;
mod made;
mod queue;
mod settings;

use super::eventfd::missing;
use super::{BatchCall, Descriptor, DumpContext, Kind, RestoreContext, notice};
use crate::error::Result;
use crate::image::proto::{FdTypes, FileEntry, StasisFileEntry, TtyFileEntry};
use found::Side;
use nix::sys::stat::SFlag;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

pub use found::{Asked, Member, Terminals, open_slave};
pub use made::{Made, Session, Through, finish, prepare, through};
pub use queue::{Queued, Queues};
pub use settings::from_entry as settings;

/// See the module.
pub struct Tty;

impl Kind for Tty {
    fn fd_type(&self) -> FdTypes {
        FdTypes::Tty
    }

    fn claims(&self, descriptor: &Descriptor) -> bool {
        descriptor.file_type() == SFlag::S_IFCHR && !descriptor.is_path() && found::is_terminal(descriptor.stat.st_rdev)
    }

    fn dump(&self, descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
        let (side, mut hung_up) = found::identify(descriptor)?;
        if let (Side::Slave(number), true) = (side, descriptor.queue.is_some()) {
            cx.terminals.note_under_way(descriptor, number)?;
        }
        let tty_info_id = cx.terminals.id_of(descriptor, (side, hung_up), cx.options)?;
        if let Side::Master(_) = side {
            hung_up = found::is_hung_up(descriptor)?;
            // To look the other side must be opened, which shows at a terminal that is in use.
            if !cx.refusals.are_noted() {
                cx.tty_queues.extend(cx.terminals.queues(descriptor, hung_up, &cx.asked)?);
            }
        }
        if hung_up {
            cx.extras.push(StasisFileEntry { id, hung_up: Some(true), ..StasisFileEntry::default() });
        }
        let path = cx.new_id();
        let entry = found::path_of(descriptor, side, path, cx)?;
        cx.more.push(entry);
        let fown = descriptor.owner()?;
        let tty = TtyFileEntry { id, tty_info_id, flags: descriptor.flags(), fown, regf_id: Some(path) };
        Ok(FileEntry { r#type: FdTypes::Tty as i32, id, tty: Some(tty), ..FileEntry::default() })
    }

    fn needs(&self, _: &FileEntry) -> Vec<u32> {
        Vec::new()
    }

    fn restore(&self, entry: &FileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
        let Some(tty) = &entry.tty else { return Err(missing(entry, "terminal")) };
        let fd = made::open(tty, cx)?;
        cx.set_owner(fd.as_fd(), &tty.fown)?;
        Ok(fd)
    }

    fn attach(&self, entry: &FileEntry, fd: i32, _: &HashMap<u32, FileEntry>) -> Vec<BatchCall> {
        entry.tty.iter().flat_map(|tty| notice(tty.flags, fd)).collect()
    }
}
