//! The cell's init: pid 1 of the cell, mounts its /proc, keeps the time limit and runs the route.

use super::tree::Tree;
use super::worker::die_with_parent;
use super::{Failure, Outcome, Spec};
use crate::cli::Session;
use crate::{process, route, sys};
use anyhow::Context as _;
use nix::mount::{MsFlags, mount};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// What is being done and what was done, for the outcome also of a run whose time is up.
pub struct Journal {
    phases: Vec<(String, f64)>,
    now: Option<(String, Instant)>,
    measures: BTreeMap<String, f64>,
    over: bool,
}

static JOURNAL: Mutex<Journal> =
    Mutex::new(Journal { phases: Vec::new(), now: None, measures: BTreeMap::new(), over: false });

/// Runs a step of a route under a name, and times it.
pub fn phase<T>(name: &str, step: impl FnOnce() -> T) -> T {
    with_journal(|journal| journal.now = Some((name.to_owned(), Instant::now())));
    let result = step();
    with_journal(Journal::close);
    result
}

/// Notes a measured number for the outcome.
pub fn measure(name: &str, value: f64) {
    with_journal(|journal| _ = journal.measures.insert(name.to_owned(), value));
}

impl Journal {
    fn close(&mut self) {
        if let Some((name, since)) = self.now.take() {
            self.phases.push((name, since.elapsed().as_secs_f64()));
        }
    }
}

fn with_journal<T>(f: impl FnOnce(&mut Journal) -> T) -> T {
    f(&mut JOURNAL.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
}

/// The hidden command `__init SPEC`.
pub fn main(path: &Path) -> anyhow::Result<ExitCode> {
    let spec = Spec::read(path)?;
    die_with_parent()?;
    if matches!(spec.session, Session::Shell | Session::Terminal) {
        nix::unistd::setsid().context("failed to make a session")?;
    }
    // The engine is to run with nothing blocked, as from a shell.
    sys::fresh_signals().context("failed to reset signals")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>).context("failed to mount the cell's /proc")?;
    mount_terminals()?;
    let (dir, limit) = (spec.dir.clone(), spec.limit);
    let watched = dir.clone();
    thread::Builder::new()
        .name("watchdog".to_owned())
        .spawn(move || watch(&watched, limit))
        .context("failed to start the watchdog")?;
    let result = Tree::new(spec).and_then(|mut tree| route::run(&mut tree));
    conclude(&dir, result.err())
}

/// Gives the cell pseudo terminals of its own: their numbers are part of a case's state, and cells run side by side.
fn mount_terminals() -> anyhow::Result<()> {
    std::fs::create_dir_all("/dev/pts").context("failed to make /dev/pts")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    let options = Some("newinstance,ptmxmode=0666,mode=0620");
    mount(Some("devpts"), "/dev/pts", Some("devpts"), flags, options).context("failed to mount the cell's terminals")
}

/// Ends the cell when its time is up: what everybody is doing goes into the outcome.
fn watch(dir: &Path, limit: f64) {
    thread::sleep(Duration::from_secs_f64(limit));
    let doing =
        with_journal(|j| j.now.as_ref().map(|(name, _)| format!(" while it was at: {name}"))).unwrap_or_default();
    let failure = Failure::with(format!("exceeded the time limit of {limit} s{doing}"), process::stacks());
    if conclude(dir, Some(failure)).is_ok() {
        std::process::exit(1);
    }
}

/// Writes the outcome; the first who comes counts.
fn conclude(dir: &Path, failure: Option<Failure>) -> anyhow::Result<ExitCode> {
    let failed = failure.is_some();
    with_journal(|journal| {
        if std::mem::replace(&mut journal.over, true) {
            return Ok(());
        }
        journal.close();
        Outcome { failure, phases: journal.phases.clone(), measures: journal.measures.clone() }.write(dir)
    })?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
