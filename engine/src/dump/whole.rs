//! What is found out about a tree as a whole, by a dump of tasks that stand still and by a survey of tasks that run.

use super::files::{self, Files};
use super::freeze::Outline;
use super::memory::Segments;
use super::namespaces::Namespaces;
use super::outside::OutsideProcess;
use super::write;
use crate::error::{Error, Result};
use crate::image::proto::{FdinfoEntry, TaskKobjIdsEntry};
use crate::kind::tty::{self, Member};
use crate::refusals::Refusals;
use crate::sys::Pid;
use crate::sys::kcmp::What;

/// A live process, a thread of it, and its descriptors.
pub type Table<'a> = (Pid, Pid, &'a [FdinfoEntry]);

/// Tells the kinds which tree it is, and asks about all of its processes from outside; nothing for those that have ended.
pub fn begin(
    tree: &[&Outline],
    files: &mut Files<'_>,
    namespaces: &mut Namespaces,
) -> Result<Vec<Option<OutsideProcess>>> {
    files.cx.queues = namespaces.take_queues();
    files.know(tree);
    let outside = OutsideProcess::read_all(tree, &mut files.cx.refusals)?;
    for (process, outside) in tree.iter().zip(&outside) {
        let descriptors = outside.iter().flat_map(|outside| &outside.descriptors);
        let terminal = process.stat.terminal();
        files.cx.terminals.note_open(descriptors.filter_map(|d| tty::open_slave(&d.link, terminal)));
    }
    Ok(outside)
}

/// Completes what could not be known before all descriptors and areas were. Returns the processes that have no controlling
/// terminal though the leaders of their sessions have one.
pub fn settle(
    tree: &[&Outline],
    tables: &[Table<'_>],
    files: &mut Files<'_>,
    namespaces: &mut Namespaces,
    segments: &mut Segments,
) -> Result<Vec<Pid>> {
    let root = files.cx.options.pid;
    let queued = files.find_queued();
    files.cx.refusals.hear(root, queued)?;
    let watched = files.find_watched(&tables.iter().map(|(_, speaker, table)| (*speaker, *table)).collect());
    files.cx.refusals.hear(root, watched)?;
    let terminals = files.cx.terminals.settle(&members(tree), files.cx.options);
    let without_terminal = files.cx.refusals.hear(root, terminals)?.unwrap_or_default();
    let queues = files.cx.queues.iter().try_for_each(|queues| queues.check(&files.cx.tree));
    files.cx.refusals.hear(root, queues)?;
    let finished = namespaces.finish(segments);
    files.cx.refusals.hear(root, finished)?;
    let settled = files.settle(tables);
    files.cx.refusals.hear(root, settled)?;
    Ok(without_terminal)
}

/// The live processes as members of sessions.
fn members(tree: &[&Outline]) -> Vec<Member> {
    let member = |process: &&Outline| {
        let (stat, pid) = (&process.stat, process.pid);
        Member { pid, sid: stat.session, terminal: stat.terminal(), foreground: stat.tpgid }
    };
    tree.iter().filter(|process| !process.is_zombie()).map(member).collect()
}

/// The numbers of what processes share.
pub struct Shared {
    vm: Vec<u32>,
    files: Vec<u32>,
    fs: Vec<u32>,
    sighand: Vec<u32>,
}

impl Shared {
    /// CRIU gives the number 1 to itself.
    const FIRST: u32 = 2;

    /// Finds out who shares what.
    ///
    /// # Errors
    /// Something is shared that cannot be dumped so, or the kernel refused.
    pub fn find(tree: &[&Outline], refusals: &mut Refusals) -> Result<Shared> {
        let live: Vec<&Outline> = tree.iter().copied().filter(|p| !p.is_zombie()).collect();
        for process in &live {
            refusals.hear(process.pid, files::check_threads_share(process))?;
        }
        let find = |what| files::shared_ids(&live, what, Self::FIRST);
        let vm = find(What::Vm)?;
        // Who shares signal actions shares memory, too: clone(2) demands it, and execve(2) ends both.
        let none = vm.iter().zip(Self::FIRST..).all(|(&id, first)| id == first);
        let sighand = if none { vm.clone() } else { find(What::Sighand)? };
        let shared = Shared { vm, files: find(What::Files)?, fs: find(What::Fs)?, sighand };
        for (ids, name) in [(&shared.vm, "address space"), (&shared.sighand, "table of signal actions")] {
            for (i, id) in ids.iter().enumerate() {
                if let Some(other) = ids[..i].iter().position(|o| o == id) {
                    let object = format!("process {}", live[i].pid);
                    let reason = format!("it shares its {name} with process {}", live[other].pid);
                    let error = Error::unsupported(object, reason)
                        .with_help("a child of vfork shares until it executes a program: try again later");
                    refusals.hear_of_passing(live[i].pid, error)?;
                }
            }
        }
        Ok(shared)
    }

    /// The numbers of the `live`-th process that has not ended.
    pub fn ids(&self, live: usize, namespaces: &Namespaces) -> TaskKobjIdsEntry {
        let own = (self.vm[live], self.files[live], self.fs[live], self.sighand[live]);
        let mut ids = write::kobj_ids(own);
        namespaces.number(&mut ids);
        ids
    }
}
