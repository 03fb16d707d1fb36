//! Files of /proc that are there only when the rest of the tree is: about threads, descriptors and mappings, and working
//! directories and roots about any task, also one that has exited: these can be entered only while a process stands in
//! for it. They are opened when all threads are there and all descriptors have their numbers; until then, something
//! else stands at theirs.

use super::crew::{Member, Program, run_all};
use super::identity::enter_root;
use super::load::{Images, LiveImage};
use super::needs;
use super::tree::Tree;
use crate::error::{Doing, Error, Result};
use crate::kind::{self, RestoreContext, ghost, procfs};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

/// The ids of those files.
pub struct Late(HashSet<u32>);

/// What stands at the numbers until then.
pub fn place() -> Result<Arc<OwnedFd>> {
    let null = File::options().read(true).write(true).open("/dev/null").doing(|| "open /dev/null")?;
    Ok(Arc::new(null.into()))
}

impl Late {
    /// Looks for them.
    pub fn find(images: &Images, cx: &RestoreContext<'_>) -> Late {
        let live = images.tasks.iter().filter_map(|task| task.live.as_ref());
        let directories = live.flat_map(|live| [live.fs.cwd_id, live.fs.root_id]);
        let directories = directories.filter(|id| cx.files.get(id).is_some_and(|f| procfs::is_late_directory(f, cx)));
        let opened = images.tables.values().flatten().map(|fd| fd.id);
        let opened = opened.filter(|id| cx.files.get(id).is_some_and(|f| procfs::is_late(f, cx)));
        Late(directories.chain(opened).collect())
    }

    /// Whether the file is one of them.
    pub fn has(&self, id: u32) -> bool {
        self.0.contains(&id)
    }

    /// Opens them and gives each to those who have it. One process after another: they may share a table, whose free
    /// numbers must be known.
    pub fn run(&self, images: &Images, tree: &Tree, cx: &mut RestoreContext<'_>) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let (mut files, mut standins) = (HashMap::new(), HashMap::new());
        for &id in &self.0 {
            let lost = || Error::state(format!("the images name file {id} and lack it"));
            let entry = cx.files.get(&id).ok_or_else(lost)?;
            let dead = entry.reg.as_ref().map(|reg| ghost::open_dead(reg, &mut standins, cx)).transpose()?.flatten();
            let file = dead.map_or_else(|| kind::of_entry(entry)?.restore(entry, cx), Ok)?;
            files.insert(id, file);
        }
        for (i, live) in needs::owners(images) {
            let table = &images.tables[&live.ids.files_id];
            let given = table.iter().filter(|fd| self.has(fd.id));
            let mut fetch = Fetch::new(tree, images, live);
            for fd in given {
                let cloexec = if fd.flags & libc::FD_CLOEXEC as u32 != 0 { libc::O_CLOEXEC } else { 0 };
                let copy = fetch.one(&files[&fd.id]);
                fetch.program.call(libc::SYS_dup3, &[copy as u64, u64::from(fd.fd), cloexec as u64]);
                fetch.close(copy);
            }
            fetch.run(tree, &tree.leaders[i])?;
        }
        for (task, leader) in images.tasks.iter().zip(&tree.leaders) {
            if let Some(live) = &task.live {
                let mut fetch = Fetch::new(tree, images, live);
                self.directories(&mut fetch, live, &files);
                fetch.run(tree, leader)?;
            }
        }
        let mut standins = standins.into_values();
        standins.try_for_each(|standin| standin.end().doing(|| "end a process in the place of one that had exited"))
    }

    /// The root first: to enter it takes the working directory.
    fn directories(&self, fetch: &mut Fetch, live: &LiveImage, files: &HashMap<u32, OwnedFd>) {
        if self.has(live.fs.root_id) {
            let root = fetch.one(&files[&live.fs.root_id]);
            let here = fetch.here();
            enter_root(&mut fetch.program, root);
            fetch.program.call(libc::SYS_fchdir, &[here as u64]);
            fetch.close(here);
            fetch.close(root);
        }
        if self.has(live.fs.cwd_id) {
            let directory = fetch.one(&files[&live.fs.cwd_id]);
            fetch.program.call(libc::SYS_fchdir, &[directory as u64]);
            fetch.close(directory);
        }
    }
}

/// A program by which a task takes copies of descriptors of ours. They come to the lowest numbers that are free.
struct Fetch {
    program: Program,
    taken: HashSet<i32>,
    /// The number of a pidfd of ours, once there is one.
    engine: Option<i32>,
}

impl Fetch {
    fn new(tree: &Tree, images: &Images, live: &LiveImage) -> Fetch {
        let taken = images.tables[&live.ids.files_id].iter().map(|fd| fd.fd as i32).collect();
        Fetch { program: Program::new(&tree.layout), taken, engine: None }
    }

    /// Adds a call that returns a new descriptor.
    fn call(&mut self, nr: i64, args: &[u64]) -> i32 {
        let number = (0..i32::MAX).find(|number| self.taken.insert(*number)).unwrap_or(i32::MAX);
        self.program.room(1, 0).call_for(nr, args, number.into());
        number
    }

    /// Takes a copy of one.
    fn one(&mut self, file: &OwnedFd) -> i32 {
        let engine = match self.engine {
            Some(engine) => engine,
            None => self.call(libc::SYS_pidfd_open, &[std::process::id().into(), 0]),
        };
        self.engine = Some(engine);
        self.call(libc::SYS_pidfd_getfd, &[engine as u64, file.as_raw_fd() as u64, 0])
    }

    /// Opens the working directory.
    fn here(&mut self) -> i32 {
        const HOW: i32 = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let path = self.program.room(2, 16).put(b".\0");
        self.call(libc::SYS_openat, &[libc::AT_FDCWD as u64, path.0, HOW as u64, 0])
    }

    fn close(&mut self, number: i32) {
        self.taken.remove(&number);
        self.program.call(libc::SYS_close, &[number as u64]);
    }

    fn run(mut self, tree: &Tree, member: &Member) -> Result<()> {
        let Some(engine) = self.engine else { return Ok(()) };
        self.close(engine);
        run_all(tree.layout.stub(), &mut [(member, self.program)]).map(drop)
    }
}
