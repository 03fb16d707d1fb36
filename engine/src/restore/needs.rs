//! The descriptors that address spaces are built from: pages files, shared memory, mapped files, executables,
//! directories. The root gets all that any task of the tree needs as soon as it is there, and every other task has a
//! copy from its birth, so that they have the same numbers everywhere.

use super::files::{self, Given};
use super::late::Late;
use super::load::{Images, LiveImage};
use super::segments::Segments;
use crate::error::{Error, Result};
use crate::image::kinds;
use crate::image::proto::VmaEntry;
use crate::kind::RestoreContext;
use crate::vma::status;
use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// What a task needs a descriptor for while its address space is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// A pages file.
    Pages(u32),
    /// Shared anonymous memory.
    Segment(u64),
    /// A file of files.img.
    File(u32),
}

/// The numbers of those descriptors.
pub type Numbers = HashMap<Need, i32>;

/// Numbers what all tasks need, from 0.
fn number(images: &Images, late: &Late) -> Numbers {
    let mut numbers = Numbers::new();
    let mut add = |need| {
        let next = numbers.len() as i32;
        numbers.entry(need).or_insert(next);
    };
    for live in images.tasks.iter().filter_map(|t| t.live.as_ref()) {
        if live.pages.saved > 0 {
            add(Need::Pages(live.pages.pages_id));
        }
        let directories = [live.fs.cwd_id, live.fs.root_id].into_iter().filter(|id| !late.has(*id));
        for id in directories.chain([live.mm.exe_file_id]) {
            add(Need::File(id));
        }
        live.mm.vmas.iter().filter_map(of_area).for_each(&mut add);
    }
    numbers
}

/// What an area is mapped from.
pub fn of_area(vma: &VmaEntry) -> Option<Need> {
    if vma.status & status::ANON_SHARED != 0 {
        Some(Need::Segment(vma.shmid))
    } else if vma.status & (status::FILE_PRIVATE | status::FILE_SHARED) != 0 {
        Some(Need::File(vma.shmid as u32))
    } else {
        None
    }
}

/// The descriptors and their numbers.
pub struct Needs {
    /// The numbers, the same in all tasks.
    pub numbers: Numbers,
    /// By number.
    files: HashMap<i32, Arc<OwnedFd>>,
    /// The numbers of io_uring instances.
    rings: HashSet<i32>,
}

/// Opens all of them, before there is a task.
///
/// # Errors
/// Files that are missing or not what they were, pages files that the images lack.
pub fn open(images: &Images, late: &Late, cx: &mut RestoreContext<'_>) -> Result<Needs> {
    let numbers = number(images, late);
    let mut ids: Vec<u32> =
        numbers.keys().filter_map(|n| if let Need::File(id) = n { Some(*id) } else { None }).collect();
    ids.sort_unstable();
    files::open(images, ids, cx)?;
    let segments = Segments::make(images)?;
    let mut files = HashMap::with_capacity(numbers.len());
    for (&need, &number) in &numbers {
        let file = match need {
            Need::File(id) => cx.open.get(&id).cloned(),
            Need::Segment(id) => segments.file(id),
            Need::Pages(id) => Some(Arc::new(OwnedFd::from(images.dir.raw(kinds::PAGES.of(id))?.0))),
        };
        files.insert(number, file.ok_or_else(|| Error::state(format!("the images lack {need:?}")))?);
    }
    let is_ring = |need: &Need| matches!(need, Need::File(id) if images.is_ring(*id));
    let rings = numbers.iter().filter(|(need, _)| is_ring(need)).map(|(_, number)| *number).collect();
    Ok(Needs { numbers, files, rings })
}

impl Needs {
    /// What the root gets.
    pub fn given(&self) -> Vec<Given> {
        let one = |(number, file): (&i32, &Arc<OwnedFd>)| Given {
            number: *number,
            file: file.clone(),
            cloexec: false,
            ring: self.rings.contains(number),
        };
        self.files.iter().map(one).collect()
    }

    /// The engine's own copy of one.
    pub fn file(&self, need: Need) -> Option<&OwnedFd> {
        self.files.get(self.numbers.get(&need)?).map(|file| &**file)
    }
}

/// For each descriptor table the first process that has it.
pub fn owners(images: &Images) -> Vec<(usize, &LiveImage)> {
    let mut seen = HashSet::new();
    let live = images.tasks.iter().enumerate().filter_map(|(i, t)| t.live.as_ref().map(|live| (i, live)));
    live.filter(|(_, live)| seen.insert(live.ids.files_id)).collect()
}
