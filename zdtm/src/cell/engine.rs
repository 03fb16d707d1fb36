//! The engine at work on a case's tree.

use super::tree::Tree;
use super::{Failure, Step};
use crate::cli::Restorer;
use crate::route::Route;
use crate::{process, sys};
use anyhow::Context as _;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::Instant;

/// How a run of the engine ended.
pub struct EngineRun {
    /// The exit status.
    pub status: ExitStatus,
    /// Wall time in seconds.
    pub seconds: f64,
    /// What it wrote: log file, standard output and error.
    pub text: String,
}

impl EngineRun {
    /// The lines worth showing: those with `Error`, else the last ones.
    pub fn lines(&self) -> Vec<String> {
        const SHOWN: usize = 15;
        let errors: Vec<&str> = self.text.lines().filter(|l| l.contains("Error")).collect();
        let all: Vec<&str> = if errors.is_empty() { self.text.lines().collect() } else { errors };
        let skip = all.len().saturating_sub(SHOWN);
        all.into_iter().skip(skip).map(|l| format!("engine: {l}")).collect()
    }
}

impl Tree {
    /// Starts a dump; `dir` is made and holds images and log.
    pub fn spawn_dump(&self, dir: &Path, extra: &[&str]) -> Step<Child> {
        fs::create_dir_all(dir)?;
        let mut command = self.engine("dump", dir)?;
        self.choose(&mut command);
        command.args(extra);
        Ok(command.spawn().with_context(|| format!("failed to start {}", self.spec.engine.display()))?)
    }

    /// Adds the tree and the options of its dump.
    fn choose(&self, command: &mut Command) {
        // What only the case knows: `Gate::dump_options`.
        let own = fs::read_to_string(self.spec.scratch().join("dump-options")).unwrap_or_default();
        command.arg("-t").arg(self.root.to_string()).args(self.options(&self.spec.dump_options)).args(own.lines());
    }

    /// Runs a dump to its end, whatever it is.
    pub fn try_dump(&mut self, dir: &Path, extra: &[&str]) -> Step<EngineRun> {
        let since = Instant::now();
        let child = self.spawn_dump(dir, extra)?;
        self.wait_engine(&child, "dump", dir, since)
    }

    /// Asks beforehand what a dump would refuse: text, as users read it.
    pub fn survey(&mut self, dir: &Path) -> Step<EngineRun> {
        fs::create_dir_all(dir)?;
        let since = Instant::now();
        let mut command = self.engine("check", dir)?;
        self.choose(&mut command);
        let child = command.spawn().with_context(|| format!("failed to start {}", self.spec.engine.display()))?;
        self.wait_engine(&child, "check", dir, since)
    }

    /// Dumps; the tree is gone afterwards unless `extra` says otherwise.
    pub fn dump(&mut self, dir: &Path, extra: &[&str]) -> Step<EngineRun> {
        let run = self.try_dump(dir, extra)?;
        if !run.status.success() {
            return Err(Failure::with(format!("the dump failed ({})", run.status), run.lines()));
        }
        if extra.is_empty() {
            self.gone("after the dump")?;
        }
        Ok(run)
    }

    /// Runs a restore to its end, whatever it is.
    pub fn try_restore(&mut self, dir: &Path) -> Step<EngineRun> {
        let since = Instant::now();
        let mut command = self.engine("restore", dir)?;
        command.arg("-d").args(self.options(&self.spec.restore_options));
        if self.spec.restorer == Restorer::Odd {
            sys::make_odd(&mut command);
        }
        self.ended = None;
        let child = command.spawn().with_context(|| format!("failed to start {}", self.spec.engine.display()))?;
        self.wait_engine(&child, "restore", dir, since)
    }

    /// Restores the tree: its root is the init's child again.
    pub fn restore(&mut self, dir: &Path) -> Step<EngineRun> {
        let run = self.try_restore(dir)?;
        if !run.status.success() {
            return Err(Failure::with(format!("the restore failed ({})", run.status), run.lines()));
        }
        self.reap();
        if let Some(status) = self.ended {
            let how = self.verdict_text().unwrap_or_else(|| status.to_string());
            return Err(Failure::with(format!("the restored tree ended at once: {how}"), run.lines()));
        }
        if !process::exists(self.root.as_raw()) {
            return Err(Failure::with(format!("the restore left no process {}", self.root), run.lines()));
        }
        Ok(run)
    }

    /// Waits for a run of the engine on `dir`. Whoever else ends meanwhile is collected, as any parent would.
    pub fn wait_engine(&mut self, child: &Child, verb: &str, dir: &Path, since: Instant) -> Step<EngineRun> {
        let engine = child.id().cast_signed();
        let status = loop {
            match sys::wait_any(true) {
                Ok(Some((pid, status))) if pid == engine => break status,
                Ok(Some((pid, status))) => self.note(pid, status),
                Ok(None) => {}
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Failure::new(format!("failed to wait for the engine: {e}"))),
            }
        };
        let seconds = since.elapsed().as_secs_f64();
        let read = |end: &str| fs::read(dir.join(format!("{verb}.{end}"))).unwrap_or_default();
        let text = [read("log"), read("out")].concat();
        Ok(EngineRun { status, seconds, text: String::from_utf8_lossy(&text).into_owned() })
    }

    /// The case's options with the terminal's key in the place of `TERMINAL`.
    fn options(&self, options: &[String]) -> Vec<String> {
        let key = self.terminal.as_ref().map_or("", |terminal| &terminal.key);
        options.iter().map(|option| option.replace("TERMINAL", key)).collect()
    }

    fn engine(&self, verb: &str, dir: &Path) -> Step<Command> {
        let out = File::create(dir.join(format!("{verb}.out")))?;
        let log = dir.join(format!("{verb}.log"));
        if log.exists() {
            fs::remove_file(&log)?;
        }
        let mut command = Command::new(&self.spec.engine);
        command.arg(verb).arg("-D").arg(dir).arg("-o").arg(format!("{verb}.log"));
        // A measurement is of an engine as people use it; elsewhere its log must explain a failure.
        if self.spec.route != Route::Bench {
            command.arg("-v4");
        }
        command.current_dir(&self.spec.dir).stdin(self.input()?).stdout(out.try_clone()?).stderr(out);
        Ok(command)
    }
}
