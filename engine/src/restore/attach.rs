//! The attach stage: what only a task itself can make, when it has its descriptors. After it no descriptor of a task is
//! closed any more: that would release POSIX locks on its file.

use super::crew::Program;
use super::load::Images;
use super::namespaces;
use super::tree::Tree;
use crate::error::{Error, Result};
use crate::image::kinds;
use crate::kind::{self, eventpoll, io_uring, locks};
use crate::ns::mqueue;
use std::collections::HashSet;

/// Sets the locks that each process holds, and what else only the task itself can do with its descriptors.
pub fn run(images: &Images, tree: &Tree) -> Result<()> {
    let held = images.dir.read_all(kinds::FILE_LOCKS.single())?;
    let live = |pid: i32| images.tasks.iter().any(|task| task.live.is_some() && task.pid().as_raw() == pid);
    if let Some(lock) = held.iter().find(|lock| !live(lock.pid)) {
        return Err(Error::state(format!(
            "the images hold a lock of process {}, which is not alive in them",
            lock.pid
        )));
    }
    let more = images.dir.read_all(kinds::STASIS_FILE.single())?;
    let mut work = Vec::new();
    let (mut attached, mut registered, mut buffered) = (HashSet::new(), HashSet::new(), HashSet::new());
    for (i, task) in images.tasks.iter().enumerate() {
        let mut calls = Vec::new();
        for fd in task.live.iter().flat_map(|live| &images.tables[&live.ids.files_id]) {
            if attached.insert(fd.id)
                && let Some(entry) = images.files.get(&fd.id)
            {
                calls.extend(kind::of_entry(entry)?.attach(entry, fd.fd as i32, &images.files));
            }
        }
        if let Some(live) = &task.live {
            let table = &images.tables[&live.ids.files_id];
            calls.extend(eventpoll::register_signals(table, &images.files, &mut registered));
            calls.extend(mqueue::register(&images.queues, task.pid(), table, &images.files)?);
            calls.extend(io_uring::register_buffers(task.pid(), table, &more, &mut buffered)?);
        }
        calls.extend(locks::attach(&held, task.pid())?);
        calls.extend(namespaces::adjustments(images, i)?);
        if calls.is_empty() {
            continue;
        }
        let mut program = Program::new(&tree.layout);
        for call in calls {
            match &call.data {
                Some((index, bytes)) => program.call_with(call.nr, &call.args, *index, bytes),
                None => program.call(call.nr, &call.args),
            }
        }
        work.push((&tree.leaders[i], program));
    }
    super::crew::run_all(tree.layout.stub(), &mut work).map(drop)
}
