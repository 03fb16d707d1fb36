//! The case's process tree inside its cell.

use super::start::PATIENCE;
use super::terminal::Terminal;
use super::{Failure, Spec, Step};
use crate::cli::Session;
use crate::gate::Gate;
use crate::witness::{Tolerance, Witness, summary};
use crate::{process, sys};
use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long things may take that should be immediate: the end of killed processes, the engine's helpers.
const MOMENT: Duration = Duration::from_secs(2);

/// The tree of one case, the init's child.
pub struct Tree {
    /// What the cell is to do.
    pub spec: Spec,
    /// The gate of the scratch directory as it is now.
    pub gate: Gate,
    pub(super) root: Pid,
    /// How the root ended, where it has.
    pub(super) ended: Option<ExitStatus>,
    /// Of a case that is a job on a terminal.
    pub(super) terminal: Option<Terminal>,
    /// The tree's living processes when it was last witnessed.
    alive: BTreeSet<i32>,
    /// Processes of the cell that do not belong to the tree: peers that a case started outside.
    outsiders: BTreeSet<i32>,
    /// How long the last look at the tree took.
    look: Duration,
}

impl Tree {
    /// Makes the scratch directory and its gate.
    pub fn new(spec: Spec) -> Step<Tree> {
        let scratch = spec.scratch();
        fs::create_dir_all(&scratch)?;
        // A case that gives up root writes here too.
        fs::set_permissions(&scratch, fs::Permissions::from_mode(0o777))?;
        let gate = Gate::open(&scratch)?;
        let terminal = (spec.session == Session::Terminal).then(Terminal::open).transpose()?;
        let (alive, outsiders) = (BTreeSet::new(), BTreeSet::new());
        Ok(Tree { spec, gate, root: Pid::from_raw(0), ended: None, terminal, alive, outsiders, look: Duration::ZERO })
    }

    /// Starts the case and waits until it is ready.
    pub fn start(&mut self) -> Step {
        let scratch = self.spec.scratch();
        let log = OpenOptions::new().append(true).create(true).open(scratch.join("log"))?;
        let child = Command::new("/proc/self/exe")
            .args(["__start", "--session", self.spec.session.name(), "--flavour", self.spec.flavour.name()])
            .args([self.spec.cases.as_os_str(), self.spec.case.as_ref(), scratch.as_os_str()])
            .env(PATIENCE, self.spec.patience.to_string())
            .stdin(self.input()?)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("failed to start the case")?;
        self.root = Pid::from_raw(child.id().cast_signed());
        while !self.gate.ready_within(Duration::from_millis(20)) {
            self.reap();
            if let Some(status) = self.ended {
                let how = self.verdict_text().unwrap_or_else(|| status.to_string());
                return Err(Failure::with(format!("the case ended before it was ready: {how}"), self.log_tail()));
            }
        }
        Ok(())
    }

    /// The standard input of case and engine.
    pub(super) fn input(&self) -> Step<Stdio> {
        Ok(self.terminal.as_ref().map_or_else(|| Ok(Stdio::null()), Terminal::input)?)
    }

    /// The witness of the tree when it has settled: three in a row are equal, or a second has passed.
    pub fn witness(&mut self) -> Step<Witness> {
        let until = Instant::now() + Duration::from_secs(1);
        let mut last = self.look();
        let mut alike = 1;
        loop {
            thread::sleep(Duration::from_millis(3));
            self.reap();
            let now = self.look();
            let same = last.differences(&now, &self.spec.exempt, Tolerance::None).is_empty();
            alike = if same { alike + 1 } else { 1 };
            if alike == 3 || Instant::now() > until {
                let tree = process::tree(self.root);
                let apart = |pid: &i32| *pid != 1 && !tree.contains(pid);
                self.outsiders = process::all().into_iter().filter(apart).collect();
                self.alive = tree.into_iter().filter(|&pid| process::alive(pid)).collect();
                return Ok(now);
            }
            last = now;
        }
    }

    /// Fails unless the tree looks as it did; what is in motion gets a moment.
    pub fn compare(&mut self, before: &Witness, when: &str, tolerance: Tolerance) -> Step {
        let since = Instant::now();
        loop {
            self.reap();
            let witness = self.look();
            let differences = before.differences(&witness, &self.spec.exempt, tolerance);
            if differences.is_empty() {
                return Ok(());
            }
            if let Some(status) = self.ended {
                let how = self.verdict_text().unwrap_or_else(|| status.to_string());
                return Err(Failure::with(format!("the tree's root ended {when}: {how}"), self.log_tail()));
            }
            if since.elapsed() > self.moment() {
                return Err(Failure::with(format!("the tree differs {when}"), summary(differences)));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Opens the gate, waits for the case's end and reads its verdict.
    pub fn finish(&mut self) -> Step {
        self.gate.go();
        let status = self.wait_root()?;
        let Some(verdict) = self.verdict_text() else {
            return Err(Failure::with(format!("the case gave no verdict: {status}"), self.log_tail()));
        };
        if verdict != "pass" {
            return Err(Failure::with(verdict, self.log_tail()));
        }
        if !status.success() {
            return Err(Failure::with(format!("the case passed, but ended with {status}"), self.log_tail()));
        }
        self.gone("after the case's end")
    }

    /// What the case itself says of a tree that has already failed, in words: is what differs a matter to the process?
    pub fn opinion(&mut self) -> String {
        self.gate.go();
        let until = Instant::now() + self.moment();
        while self.ended.is_none() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
            self.reap();
        }
        let ended = self.ended.map_or_else(|| "it has not ended".to_owned(), |status| status.to_string());
        format!("the case itself: {}", self.verdict_text().unwrap_or_else(|| format!("no verdict, {ended}")))
    }

    /// Fails unless every process of the tree, and every other that was not there before, ends within a moment.
    pub fn gone(&mut self, when: &str) -> Step {
        self.only(BTreeSet::new, when)
    }

    /// Fails when a process is there that belongs neither to the tree nor to its peers: a helper of the engine, a
    /// child that a case forgot.
    pub fn no_strays(&mut self, when: &str) -> Step {
        let root = self.root;
        // Read each time: a tree may fork while we look.
        self.only(|| process::tree(root), when)
    }

    /// Takes a witness.
    fn look(&mut self) -> Witness {
        let since = Instant::now();
        let witness = Witness::take(self.root);
        self.look = since.elapsed();
        witness
    }

    /// How long a moment is: longer on a slow machine, on a busy one, and for a tree that takes long to look at.
    fn moment(&self) -> Duration {
        MOMENT.mul_f64(self.spec.patience) + 10 * self.look
    }

    fn only(&mut self, allowed: impl Fn() -> BTreeSet<i32>, when: &str) -> Step {
        let until = Instant::now() + self.moment();
        loop {
            self.reap();
            let all = process::all();
            let tree = allowed();
            let known = |pid: &i32| *pid == 1 || tree.contains(pid) || self.outsiders.contains(pid);
            let strays: Vec<i32> = all.into_iter().filter(|pid| !known(pid) && process::exists(*pid)).collect();
            if strays.is_empty() {
                return Ok(());
            }
            if Instant::now() > until {
                let names = strays.into_iter().map(process::title).collect();
                return Err(Failure::with(format!("processes are left {when}"), names));
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Runs a step while a process that the harness started is in the cell.
    pub fn with_outsider<T>(&mut self, pid: i32, step: impl FnOnce(&mut Tree) -> T) -> T {
        self.outsiders.insert(pid);
        let result = step(self);
        self.outsiders.remove(&pid);
        result
    }

    /// Whether every process that was alive when the tree was last witnessed still is; of a tree whose processes come
    /// and go (`witness: -tasks`) only the root can be asked.
    pub fn whole(&mut self) -> bool {
        self.reap();
        if self.spec.exempt.iter().any(|field| field == "tasks") {
            return process::alive(self.root.as_raw());
        }
        self.alive.iter().all(|&pid| process::alive(pid))
    }

    /// Kills what is left of the tree.
    pub fn kill(&mut self) -> Step {
        for pid in process::tree(self.root) {
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        self.gone("after the tree was killed")
    }

    /// A fresh image directory's path.
    pub fn images(&self, number: usize) -> PathBuf {
        self.spec.dir.join(format!("img-{number}"))
    }

    /// The root's pid.
    pub fn root(&self) -> Pid {
        self.root
    }

    /// Collects who ended; the root's end is remembered.
    pub fn reap(&mut self) {
        while let Ok(Some((pid, status))) = sys::wait_any(false) {
            self.note(pid, status);
        }
    }

    pub(super) fn note(&mut self, pid: i32, status: ExitStatus) {
        if pid == self.root.as_raw() {
            self.ended = Some(status);
        }
    }

    fn wait_root(&mut self) -> Step<ExitStatus> {
        loop {
            if let Some(status) = self.ended {
                return Ok(status);
            }
            match sys::wait_any(true) {
                Ok(Some((pid, status))) => self.note(pid, status),
                Ok(None) => {}
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Failure::new(format!("the tree's root is no child of the cell's init: {e}"))),
            }
        }
    }

    /// `pass`, or the first failure that the case or one of its children wrote.
    pub(super) fn verdict_text(&self) -> Option<String> {
        let text = fs::read_to_string(self.spec.scratch().join("verdict")).ok()?;
        let failed = text.lines().find(|l| l.starts_with("fail"));
        failed.or_else(|| text.lines().next()).map(str::to_owned)
    }

    fn log_tail(&self) -> Vec<String> {
        let text = fs::read(self.spec.scratch().join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<&str> = text.lines().collect();
        all.iter().skip(all.len().saturating_sub(10)).map(|l| format!("case: {l}")).collect()
    }
}
