//! The suite in machines of QEMU: other CPUs, other kernels. The harness runs in the machine; here it is built, booted
//! and listened to.

pub mod run;
pub mod shell;

use crate::build::Paths;
use crate::pool;
use anyhow::{Context as _, bail};
use stasis_qemu::guest::{Job, Task};
use stasis_qemu::{CONSOLE, Cache, Machine, Payload, Stopper};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Cargo's target directory in a machine.
const TARGET: &str = "/stasis/target";

/// A machine with the suite built for it.
struct Lab {
    paths: Paths,
    machine: Machine,
}

impl Lab {
    /// Fetches what is missing and builds; without the engine where no case needs one.
    fn prepare(arch: &str, kernel: Option<&str>, prebuilt: bool, engine: bool) -> anyhow::Result<Lab> {
        let paths = Paths::locate(None)?;
        let machine = Machine::prepare(&Cache::locate(&paths.target)?, arch, kernel)?;
        let lab = Lab { paths, machine };
        if !prebuilt {
            lab.build(engine)?;
        }
        for name in lab.programs(engine) {
            let path = lab.machine.built().join(name);
            if !path.is_file() {
                bail!("there is no {}; run without --prebuilt", path.display());
            }
        }
        Ok(lab)
    }

    fn programs(&self, engine: bool) -> impl Iterator<Item = &'static str> {
        ["zdtm", "zdtm-cases", "stasis"].into_iter().take(if engine { 3 } else { 2 })
    }

    fn build(&self, engine: bool) -> anyhow::Result<()> {
        eprintln!("qemu: building for {}", self.machine.recipe.target);
        let mut command = self.machine.cargo();
        command.args(["build", "--release", "--quiet"]).args(self.programs(engine).flat_map(|name| ["-p", name]));
        let status = command.current_dir(&self.paths.root).status().context("failed to start cargo")?;
        if !status.success() {
            bail!("cargo build for {} failed", self.machine.recipe.target);
        }
        Ok(())
    }

    /// Where what explains failures in this machine is kept.
    fn failures(&self) -> PathBuf {
        self.paths.runs().join("failures").join(self.machine.name())
    }

    /// Keeps the console's log of the run in `dir`, and adds to the error where.
    fn keep_console(&self, dir: &Path, e: anyhow::Error) -> anyhow::Error {
        let (from, to) = (dir.join(CONSOLE), self.failures().join(CONSOLE));
        match fs::create_dir_all(self.failures()).and_then(|()| fs::copy(from, &to)) {
            Ok(_) => anyhow::anyhow!("{e:#}\nthe whole console: {}", to.display()),
            Err(_) => e,
        }
    }

    /// Writes the initial file system into `dir`.
    fn write_initrd(&self, task: Task, dir: &Path) -> anyhow::Result<PathBuf> {
        let (built, release) = (self.machine.built(), format!("{TARGET}/release"));
        let cases = format!("{TARGET}/{}/release/zdtm-cases", self.machine.recipe.target);
        let mut files =
            vec![(cases.clone(), built.join("zdtm-cases")), (format!("{release}/zdtm"), built.join("zdtm"))];
        let engine = built.join("stasis");
        if engine.is_file() {
            files.push((format!("{release}/stasis"), engine));
        }
        let mut links = vec![in_path("zdtm-cases", &cases)];
        links.extend(["zdtm", "stasis"].map(|name| in_path(name, &format!("{release}/{name}"))));
        let environment = [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
            ("HOME", "/root".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
            ("TERM", std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned())),
            ("RUST_BACKTRACE", "1".to_owned()),
        ];
        let job = Job {
            hostname: self.machine.recipe.name.clone(),
            environment: environment
                .map(|(name, value)| (name.to_owned(), value))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
            now: SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs().cast_signed()),
            disk: Path::new(TARGET).join("zdtm"),
            task,
            ..Job::default()
        };
        let to = dir.join("initrd");
        self.machine.write_initrd(&Payload { job, init: format!("{release}/zdtm"), files, links }, &to)?;
        Ok(to)
    }
}

fn in_path(name: &str, target: &str) -> (String, String) {
    (format!("/usr/local/bin/{name}"), target.to_owned())
}

/// A directory of this run, removed at its end.
struct RunDir(PathBuf);

impl RunDir {
    fn make(paths: &Paths) -> anyhow::Result<RunDir> {
        let runs = paths.runs();
        fs::create_dir_all(&runs).with_context(|| format!("failed to make {}", runs.display()))?;
        pool::remove_abandoned(&runs);
        let dir = runs.join(format!("run-{}", std::process::id()));
        fs::create_dir(&dir).with_context(|| format!("failed to make {}", dir.display()))?;
        Ok(RunDir(dir))
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        // What stays is removed by the next run.
        let _removed = fs::remove_dir_all(&self.0);
    }
}

/// Whether the user ended the run; QEMU is then ended at once.
#[derive(Clone, Default)]
struct Cancel {
    cancelled: Arc<AtomicBool>,
    stopper: Arc<Mutex<Option<Stopper>>>,
}

impl Cancel {
    /// Takes the signals that end a run.
    fn listen() -> anyhow::Result<Cancel> {
        let cancel = Cancel::default();
        let ours = cancel.clone();
        pool::when_cancelled(move || {
            ours.cancelled.store(true, Ordering::SeqCst);
            ours.stop();
        })?;
        Ok(cancel)
    }

    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// QEMU was started.
    fn started(&self, stopper: Stopper) {
        *self.stopper.lock().unwrap_or_else(PoisonError::into_inner) = Some(stopper);
        if self.cancelled() {
            self.stop();
        }
    }

    fn stop(&self) {
        if let Some(stopper) = &*self.stopper.lock().unwrap_or_else(PoisonError::into_inner) {
            stopper.stop();
        }
    }
}
