//! The namespaces of a tree: those of the engine, in which nothing belongs to the tree, or IPC and UTS namespaces of its own,
//! which are dumped with all that is in them.

use super::freeze::{Outline, Process};
use super::memory::Segments;
use crate::error::{Doing, Error, Result};
use crate::image::proto::{StasisAdjustment, TaskKobjIdsEntry};
use crate::image::{NewImageDir, kinds};
use crate::ns::ipc::Objects;
use crate::ns::mqueue::Queues;
use crate::ns::undo::{self, Semaphore};
use crate::ns::{self, Owned};
use crate::proc::{ProcDir, task};
use crate::refusals::Refusals;
use crate::sys::{Errno, Pid, ipc};
use std::collections::HashSet;

/// What the tree's namespaces hold, as far as memory has no part in it.
pub struct Namespaces {
    owned: Owned,
    known: bool,
    objects: Option<Objects>,
    queues: Option<Queues>,
    /// Every semaphore that the tree can reach.
    semaphores: Vec<Semaphore>,
    /// The processes that may have adjusted some.
    holders: HashSet<Pid>,
}

impl Namespaces {
    /// Looks at the namespaces of a tree.
    ///
    /// # Errors
    /// A process is in a namespace that is neither the engine's nor the tree's own.
    pub fn read(tree: &[&Outline], refusals: &mut Refusals) -> Result<Namespaces> {
        let (owned, known) = owned(tree, refusals)?;
        let objects = owned.ipc.as_ref().map(|ipc| ns::inside(ipc, Objects::read)).transpose()?;
        objects.iter().try_for_each(Objects::check)?;
        let queues = owned.ipc.as_ref().map(|ipc| ns::inside(ipc, || Queues::read(refusals.are_noted())));
        let queues = queues.transpose()?.flatten();
        let semaphores = match &objects {
            Some(objects) => objects.sets.iter().flat_map(|(set, values)| undo::of_set(set.id, values)).collect(),
            None => match undo::semaphores() {
                // A kernel without them.
                Err(Errno::ENOSYS) => Vec::new(),
                other => other.doing(|| "list semaphores")?,
            },
        };
        let live = tree.iter().filter(|process| !process.is_zombie());
        let threads: Vec<Vec<Pid>> = live.map(|p| p.tids.clone()).collect();
        let holders = if semaphores.is_empty() { HashSet::new() } else { undo::holders(&threads)? };
        Ok(Namespaces { owned, known, objects, queues, semaphores, holders })
    }

    /// Whether every task is in namespaces that the engine is in, or that it can look into.
    pub fn are_known(&self) -> bool {
        self.known
    }

    /// Puts the numbers of the tree's own in place of the engine's.
    pub fn number(&self, ids: &mut TaskKobjIdsEntry) {
        self.owned.number(ids);
    }

    /// The POSIX message queues, which the kinds go on with.
    pub fn take_queues(&mut self) -> Option<Queues> {
        self.queues.take()
    }

    /// Shared memory of the tree before any area of it is known.
    pub fn segments(&self) -> Segments {
        Segments::new(self.objects.as_ref().map(|objects| objects.segments.as_slice()))
    }

    /// The semaphores to ask a process about.
    pub fn asked_of(&self, process: &Process) -> &[Semaphore] {
        if process.tids.first().is_some_and(|leader| self.holders.contains(leader)) { &self.semaphores } else { &[] }
    }

    /// Refuses adjustments of semaphores that do not belong to the tree: they would be made when it is killed.
    pub fn check_adjustments(&self, pid: Pid, adjustments: &mut Vec<StasisAdjustment>) -> Result<()> {
        if self.owned.ipc.is_some() {
            return Ok(());
        }
        match adjustments.iter().find(|adjustment| adjustment.value != 0) {
            Some(adjustment) => Err(Error::unsupported(
                format!("process {pid}: its adjustment of semaphore {} of set {}", adjustment.number, adjustment.set),
                "the set is in an IPC namespace that others use too",
            )
            .with_help(ns::ADVICE)),
            None => {
                adjustments.clear();
                Ok(())
            }
        }
    }

    /// Opens the segments that nobody has attached; all others were found in the memory of the tree.
    pub fn finish(&mut self, segments: &mut Segments) -> Result<()> {
        let (Some(objects), Some(namespace)) = (&mut self.objects, &self.owned.ipc) else { return Ok(()) };
        for id in segments.unopened() {
            let open = || ipc::Attachment::new(id, false).and_then(|attached| attached.memory());
            let open = || open().doing(|| format!("open segment {id} of shared memory"));
            segments.open_sysv(id, ns::inside(namespace, open)?.into());
        }
        segments.check_attached()?;
        segments.keys().for_each(|(id, key)| objects.note_key(id, key));
        segments.sysv_files().try_for_each(|(id, file)| objects.note_pages(id, file))
    }

    /// Writes their images.
    pub fn write(&self, out: &NewImageDir) -> Result<()> {
        if let Some(objects) = &self.objects {
            objects.write(out, ns::OWN_IPC)?;
        }
        if let Some(uts) = &self.owned.uts {
            out.write_one(kinds::UTSNS.of(ns::OWN_UTS), &ns::uts::read(uts)?)?;
        }
        Ok(())
    }
}

/// The kinds of namespaces by which paths, pids and owners have their meaning.
const MEANING: [&str; 3] = ["mnt", "pid", "user"];

/// The namespaces that the tree has to itself, and whether paths and pids mean the same to all of it and to the engine.
/// Every process must be in them or in the engine's.
fn owned(tree: &[&Outline], refusals: &mut Refusals) -> Result<(Owned, bool)> {
    let own = ProcDir::current()?;
    let (mut owned, mut known) = (Owned::default(), true);
    let live: Vec<&Outline> = tree.iter().copied().filter(|process| !process.is_zombie()).collect();
    let mut kinds = Vec::new();
    for name in task::namespace_names(&own)? {
        kinds.push((task::namespace(&own, &name)?, None, false, name));
    }
    for process in &live {
        let Some(dir) = refusals.hear(process.pid, process.dir.thread(process.speaker()).map_err(Error::from))? else {
            continue;
        };
        for (ours, roots, strange, name) in &mut kinds {
            let theirs = match task::namespace(&dir, name) {
                Ok(theirs) => theirs,
                Err(e) if e.is_gone() => continue,
                Err(e) => return Err(e.into()),
            };
            let first = roots.get_or_insert_with(|| theirs.clone());
            if *first != theirs || theirs != *ours && !Owned::KINDS.contains(&name.as_str()) {
                refusals.hear(process.pid, Err::<(), _>(refused(process.pid, name, *first != theirs)))?;
                *strange = true;
                known &= !MEANING.contains(&name.as_str());
            }
        }
    }
    for (ours, roots, strange, name) in kinds {
        if let Some(roots) = roots.filter(|roots| *roots != ours && !strange) {
            let alone = if name == "ipc" { alone(tree, &name, &roots) } else { Ok(()) };
            if refusals.hear(tree[0].pid, alone)?.is_some() {
                owned.add(live[0].speaker(), &name)?;
            }
        }
    }
    Ok((owned, known))
}

/// Refuses a namespace that a process outside of the tree is in, too: what is in it does not belong to the tree alone.
fn alone(tree: &[&Outline], kind: &str, namespace: &task::Namespace) -> Result<()> {
    let pids: HashSet<Pid> = tree.iter().map(|process| process.pid).collect();
    for pid in task::processes()?.into_iter().filter(|pid| !pids.contains(pid)) {
        // One that has ended is in none.
        let Ok(dir) = ProcDir::open(pid) else { continue };
        if task::namespace(&dir, kind).is_ok_and(|theirs| theirs == *namespace) {
            let object = format!("process {}: {kind} namespace", tree[0].pid);
            return Err(Error::unsupported(
                object,
                format!("process {pid}, which is outside of the tree, is in it too"),
            )
            .with_help("end that process, or dump a tree that it belongs to"));
        }
    }
    Ok(())
}

fn refused(pid: Pid, name: &str, differs: bool) -> Error {
    let object = format!("process {pid}: {name} namespace");
    if differs {
        let reason = "it is another than that of the tree's root; such trees are not supported yet";
        return Error::unsupported(object, reason);
    }
    Error::unsupported(object, "it is another than the engine's; namespaces of this kind are not supported yet")
        .with_help("run the engine inside the same namespaces, for example by nsenter")
}
