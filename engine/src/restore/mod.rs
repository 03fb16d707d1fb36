//! The restore: tree → memory → files → threads → identity → release. [`run`] is the list of its stages; each ends
//! before the next begins, and what it made is gone if a later one fails.

mod actors;
mod aio;
mod attach;
mod classes;
mod cow;
mod creds;
mod crew;
mod files;
mod identity;
mod inherited;
mod late;
mod load;
mod memory;
mod moves;
mod namespaces;
mod needs;
mod pids;
mod release;
mod rings;
mod seccomp;
mod seed;
mod segments;
mod spans;
mod terminals;
mod threads;
mod tree;
mod userfaults;
mod vdso;

use crate::check::cpu;
use crate::error::Result;
use crate::fault;
use crate::kind;
use crate::options::RestoreOptions;
use crate::sys::Pid;
use load::Images;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// What a restore did.
#[derive(Debug, Clone)]
pub struct Report {
    /// The root of the tree.
    pub pid: Pid,
    /// Creating the processes.
    pub forking: Duration,
    /// All of it.
    pub total: Duration,
    /// Processes restored.
    pub processes: usize,
}

/// Restores the tree whose images are in the images directory.
///
/// # Errors
/// Images that are incomplete or not as they must be, a pid that is taken, a file that is missing or not what it was,
/// something the kernel refused: in every case no process and no file is left behind.
pub fn run(options: &RestoreOptions) -> Result<Report> {
    let started = Instant::now();
    crate::sys::file::widen_table();
    let images = load::load(&options.common.images_dir)?;
    cpu::require(&options.common.images_dir, options.common.cpu_cap)?;
    pids::await_free(&images)?;
    let root = memory::root(options)?;
    fault::point("loaded")?;
    let mut cx = files::context(&images, options, root.as_fd())?;
    kind::tty::prepare(&mut cx)?;
    let late = late::Late::find(&images, &cx);
    let needs = needs::open(&images, &late, &mut cx)?;
    let plan = cow::Plan::make(&images)?;
    inherited::tell(&images)?;
    let sessions = cx.terminals.sessions(&cx.tree)?;
    let mut tree = tree::grow(&images, options, &needs, &plan, &sessions)?;
    let forking = started.elapsed();
    terminals::finish(&images, &tree, &mut cx)?;
    let made = namespaces::build(&images, &mut cx)?;
    files::open_rest(&images, &tree, &late, &mut cx)?;
    kind::tty::finish(&mut cx)?;
    fault::point("files")?;
    memory::build_and_verify(&images, &tree, &needs, &plan)?;
    aio::restore(&images, &tree, &needs)?;
    rings::map(&images, &tree, &needs)?;
    userfaults::make(&images, &tree, &mut cx)?;
    identity::place(&images, &tree, &needs.numbers, &late, options.root.is_some())?;
    drop(needs);
    kind::eventpoll::register(&cx, &images.tables)?;
    kind::io_uring::register(&cx)?;
    hand_out(&images, &tree, &late, &mut cx)?;
    fault::point("handed out")?;
    threads::spawn(&images, &mut tree)?;
    late.run(&images, &tree, &mut cx)?;
    attach::run(&images, &tree)?;
    namespaces::finish(&images, made)?;
    let own = threads::Defaults::read()?;
    release::bury(&images, &mut tree, &own.creds)?;
    // Actions before any queue: setting one to "ignore" empties the queues of all threads.
    identity::assume(&images, &tree)?;
    threads::dress(&images, &tree, &own)?;
    identity::limit(&images, &tree)?;
    threads::restrict(&images, &tree, &own.creds)?;
    identity::dumpable(&images, &tree)?;
    seccomp::install(&images, &tree)?;
    cx.settle()?;
    release::prepare(&images, &tree, options.leave_stopped)?;
    cx.commit()?;
    cx.finish()?;
    let processes = images.tasks.len();
    fault::point("release")?;
    release::let_go(&images, tree)?;
    let pid = images.tasks[0].pid();
    Ok(Report { pid, forking, total: started.elapsed(), processes })
}

/// Waits for the root of a restored tree to end: its exit code, or 128 and the signal that killed it.
///
/// # Errors
/// The root is not our child.
pub fn wait(root: Pid) -> Result<u8> {
    use crate::error::Doing;
    use nix::sys::wait::{WaitStatus, waitpid};
    loop {
        match waitpid(root, None) {
            Ok(WaitStatus::Exited(_, code)) => return Ok(code as u8),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(128u8.wrapping_add(signal as u8)),
            Ok(_) | Err(crate::sys::Errno::EINTR) => {}
            Err(e) => return Err(e).doing(|| format!("wait for process {root}")),
        }
    }
}

/// Gives every descriptor table what the images have for it.
fn hand_out(
    images: &Images,
    tree: &tree::Tree,
    late: &late::Late,
    cx: &mut crate::kind::RestoreContext<'_>,
) -> Result<()> {
    let mut work = Vec::new();
    let place = late::place()?;
    for (i, live) in needs::owners(images) {
        let given = images.tables[&live.ids.files_id].iter().map(|fd| files::Given {
            number: fd.fd as i32,
            file: if late.has(fd.id) { place.clone() } else { cx.open[&fd.id].clone() },
            cloexec: fd.flags & libc::FD_CLOEXEC as u32 != 0,
            ring: images.is_ring(fd.id),
        });
        work.push((&tree.leaders[i], given.collect()));
    }
    files::hand_out(&tree.layout, work)?;
    cx.close();
    Ok(())
}
