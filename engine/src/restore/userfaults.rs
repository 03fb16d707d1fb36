//! Userfault descriptors: the kernel binds each to the memory of the task that makes it. The engine takes it from there.

use super::crew::{Program, run_all};
use super::files;
use super::load::Images;
use super::tree::Tree;
use crate::error::{Doing, Error, Result};
use crate::kind::{RestoreContext, userfaultfd};
use crate::sys;
use std::os::fd::AsFd;

/// Has every task make its own, when its memory is built, and before descriptors are handed out.
pub fn make(images: &Images, tree: &Tree, cx: &mut RestoreContext<'_>) -> Result<()> {
    let (mut work, mut of_tasks) = (Vec::new(), Vec::new());
    for (i, task) in images.tasks.iter().enumerate().filter(|(_, task)| task.live.is_some()) {
        let own = userfaultfd::of_task(cx, task.pid());
        if own.is_empty() {
            continue;
        }
        let mut program = Program::new(&tree.layout);
        let mut made = Vec::with_capacity(own.len());
        for (id, entry) in own {
            for args in userfaultfd::populate(entry) {
                program.call(libc::SYS_madvise, &args);
            }
            let call = program.room(1, 0).call(libc::SYS_userfaultfd, &[libc::O_CLOEXEC as u64]);
            made.push((id, program.batches().len() - 1, call));
        }
        work.push((&tree.leaders[i], program));
        of_tasks.push(made);
    }
    run_all(tree.layout.stub(), &mut work)?;
    for ((member, program), made) in work.iter().zip(of_tasks) {
        let pidfd = sys::pidfd::open(member.tid).doing(|| format!("open a pidfd of task {}", member.tid))?;
        for (id, batch, call) in made {
            let number = program.batches()[batch].result(call).ok().and_then(|number| i32::try_from(number).ok());
            let number = number.ok_or_else(|| Error::state(format!("task {} made no userfaultfd", member.tid)))?;
            let fd = sys::pidfd::get_fd(pidfd.as_fd(), number)
                .doing(|| format!("take a userfaultfd of task {}", member.tid))?;
            cx.userfaults.insert(id, fd);
        }
    }
    files::open(images, cx.userfaults.keys().copied().collect(), cx)
}
