//! Seccomp: strict mode and filters, the last thing that a thread takes on; suspended until it is released.

use super::crew::{Program, run_all};
use super::load::Images;
use super::threads;
use super::tree::Tree;
use crate::error::{Doing, Error, Result};
use crate::image::proto::SeccompMode;
use crate::sys::ptrace::{self, options};

/// Installs the filters of each thread, the first one first.
pub fn install(images: &Images, tree: &Tree) -> Result<()> {
    let mut work = Vec::new();
    for (member, image, mut program) in threads::each(images, tree) {
        let Some(core) = &image.core.thread_core else { continue };
        match core.seccomp_mode() {
            SeccompMode::Disabled => continue,
            SeccompMode::Strict => {
                suspend(member.tid)?;
                const SECCOMP_SET_MODE_STRICT: u64 = 0;
                program.call(libc::SYS_seccomp, &[SECCOMP_SET_MODE_STRICT, 0, 0]);
            }
            SeccompMode::Filter => {
                suspend(member.tid)?;
                for n in chain(images, core.seccomp_filter)? {
                    filter(&mut program, images, n)?;
                }
            }
        }
        work.push((member, program));
    }
    run_all(tree.layout.stub(), &mut work).map(drop)
}

/// From here on no filter acts, also none that is installed, until the tracer is gone.
fn suspend(tid: crate::sys::Pid) -> Result<()> {
    let all = options::EXIT_KILL | options::SYSGOOD | options::SUSPEND_SECCOMP;
    ptrace::set_options(tid, all).doing(|| format!("suspend the seccomp filters of task {tid}"))
}

/// The numbers of a thread's filters, the first installed first.
fn chain(images: &Images, last: Option<u32>) -> Result<Vec<u32>> {
    let mut chain = Vec::new();
    let mut next = last;
    while let Some(n) = next {
        let filter = images
            .filters
            .get(n as usize)
            .ok_or_else(|| Error::state(format!("the images lack seccomp filter {n}")))?;
        if chain.len() > images.filters.len() {
            return Err(Error::state("the seccomp filters of the images go in a circle"));
        }
        chain.push(n);
        next = filter.prev;
    }
    chain.reverse();
    Ok(chain)
}

fn filter(program: &mut Program, images: &Images, n: u32) -> Result<()> {
    const SECCOMP_SET_MODE_FILTER: u64 = 1;
    const MOST: usize = 4096;
    let filter = &images.filters[n as usize];
    let count = filter.filter.len() / 8;
    if count == 0 || count > MOST || !filter.filter.len().is_multiple_of(8) {
        return Err(Error::state(format!("seccomp filter {n} of the images has an impossible size")));
    }
    let batch = program.room(1, filter.filter.len() + 64);
    let code = batch.put(&filter.filter);
    // struct sock_fprog: a length of 16 bits, padding, a pointer.
    let mut fprog = (count as u16).to_ne_bytes().to_vec();
    fprog.extend_from_slice(&[0; 6]);
    fprog.extend_from_slice(&code.0.to_ne_bytes());
    let fprog = batch.put(&fprog);
    batch.call(libc::SYS_seccomp, &[SECCOMP_SET_MODE_FILTER, u64::from(filter.flags.unwrap_or(0)), fprog.0]);
    Ok(())
}
