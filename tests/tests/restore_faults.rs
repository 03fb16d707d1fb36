//! A restore that is killed or fails at any step leaves no process and no file, and the images as they were. One below
//! another root brings the tree back there.
//!
//! `STASIS_RESTORE_KILLS` says how often the restore is killed (20), `STASIS_SEED` repeats the instants of a run.

use anyhow::{Context as _, bail, ensure};
use libtest_mimic::{Arguments, Failed, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stasis_tests::engine::{self, Random, number, said};
use stasis_tests::target::{Target, eventually, exists, tree};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs};

const PROGRAM: &str = env!("CARGO_BIN_EXE_stasis-targets");
/// The variable that makes this program the parent of one test, see [`stasis_tests::alone`].
const INNER: &str = "STASIS_RESTORE_FAULTS";

fn main() -> ExitCode {
    if let Ok(name) = env::var(INNER) {
        return inner(&name);
    }
    let arguments = Arguments::from_args();
    const NAMES: [&str; 6] = [
        "kill/checksum",
        "kill/tree",
        "fail at each step/checksum",
        "fail at each step/tree",
        "late/checksum",
        "root/tree",
    ];
    let trials = NAMES.map(|name| {
        let shown = engine::lacking().map_or(name.to_owned(), |why| format!("{name} (skipped: {why})"));
        let trial = Trial::test(shown, move || outer(name).map_err(|e| Failed::from(format!("{e:#}"))));
        trial.with_ignored_flag(engine::lacking().is_some())
    });
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

/// Runs one test in a pid namespace of its own.
fn outer(name: &str) -> anyhow::Result<()> {
    engine::path()?;
    let mut command = stasis_tests::alone()?;
    let output = command.env(INNER, name).env("STASIS_ENGINE", engine::path()?).output()?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    ensure!(output.status.success(), "{}", said(&output));
    Ok(())
}

fn inner(name: &str) -> ExitCode {
    let result = match name.split_once('/') {
        Some(("kill", target)) => killed(target),
        Some(("late", target)) => reaped_late(target),
        Some(("root", target)) => below_another_root(target),
        Some((_, target)) => fails_at_each_step(target),
        None => Err(anyhow::anyhow!("no such test")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e:#}");
            ExitCode::FAILURE
        }
    }
}

/// Names, sizes and times of the files below a directory.
type Files = BTreeMap<String, (u64, SystemTime)>;

fn files(dir: &Path) -> anyhow::Result<Files> {
    let mut all = Files::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        let name = entry.path().to_string_lossy().into_owned();
        if meta.is_dir() {
            all.extend(files(&entry.path())?);
        } else if !["page", "log"].contains(&entry.file_name().to_string_lossy().as_ref()) {
            all.insert(name, (meta.len(), meta.modified()?));
        }
    }
    Ok(all)
}

/// A dumped target.
struct Dumped {
    dir: tempfile::TempDir,
    target: Target,
    pids: Vec<i32>,
    files: Files,
}

impl Dumped {
    fn new(name: &str) -> anyhow::Result<Dumped> {
        let mut dumped = Dumped::not_reaped(name)?;
        dumped.target.reap()?;
        reap();
        Ok(dumped)
    }

    /// The dumped processes are zombies still.
    fn not_reaped(name: &str) -> anyhow::Result<Dumped> {
        let dir = tempfile::tempdir()?;
        fs::create_dir(dir.path().join("images"))?;
        let target = Target::start(PROGRAM, name, dir.path())?;
        let pids = tree(target.pid);
        let images = dir.path().join("images");
        engine::succeed(&["dump", "-t", &target.pid.to_string(), "-D", &images.to_string_lossy()])?;
        let files = files(dir.path())?;
        Ok(Dumped { dir, target, pids, files })
    }

    fn arguments(&self) -> Vec<String> {
        let images = self.dir.path().join("images");
        ["restore", "-d", "-D", &images.to_string_lossy()].map(str::to_owned).to_vec()
    }

    /// Nothing is left of a restore that did not succeed.
    fn nothing_is_left(&self) -> anyhow::Result<()> {
        eventually("the end of all processes of the images", || {
            reap();
            Ok(self.pids.iter().all(|&pid| !exists(pid)))
        })?;
        eventually("the end of the engine's own processes", || {
            reap();
            Ok(tree(std::process::id() as i32).len() == 1)
        })?;
        let now = files(self.dir.path())?;
        ensure!(now == self.files, "files were {:?} and are {now:?}", self.files);
        Ok(())
    }

    /// All of it is there and works; then it is killed.
    fn works(&self) -> anyhow::Result<()> {
        ensure!(tree(self.target.pid).len() == self.pids.len(), "only a part of the tree was restored");
        self.target.advances()?;
        self.kill()
    }

    fn kill(&self) -> anyhow::Result<()> {
        for &pid in &self.pids {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        self.nothing_is_left()
    }
}

/// Takes the ends of all children that have ended.
fn reap() {
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    while waitpid(None, Some(WaitPidFlag::WNOHANG)).is_ok_and(|status| status != WaitStatus::StillAlive) {}
}

fn fails_at_each_step(name: &str) -> anyhow::Result<()> {
    let dumped = Dumped::new(name)?;
    for step in 1.. {
        ensure!(step < 1000, "the restore does not succeed");
        let mut arguments = dumped.arguments();
        arguments.extend(["--fault-at".to_owned(), step.to_string()]);
        let output = engine::run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
        if output.status.success() {
            ensure!(step > 10, "only {step} steps were passed");
            println!("{name}: {} steps", step - 1);
            return dumped.works();
        }
        ensure!(output.status.code() == Some(1) && !said(&output).is_empty(), "step {step}: {}", output.status);
        dumped.nothing_is_left().with_context(|| format!("step {step}: {}", said(&output)))?;
    }
    Ok(())
}

fn killed(name: &str) -> anyhow::Result<()> {
    let dumped = Dumped::new(name)?;
    let arguments = dumped.arguments();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut durations = Vec::new();
    for _ in 0..5 {
        durations.push(engine::succeed(&arguments)?);
        dumped.works()?;
    }
    durations.sort();
    let duration = durations[2];
    let mut random = Random::new(name);
    let mut half_way = 0;
    for round in 0..number("STASIS_RESTORE_KILLS", 20) {
        let delay = duration.mul_f64(1.2 * random.unit());
        let what = format!("kill {round} after {delay:?} of {duration:?}");
        half_way += u32::from(kill_restore(&dumped, &arguments, delay).context(what)?);
    }
    println!("{name}: killed half way: {half_way}");
    engine::succeed(&arguments)?;
    dumped.works()
}

/// A parent that is late to wait for the dumped process: its pid is free only then, and the restore waits for that.
fn reaped_late(name: &str) -> anyhow::Result<()> {
    let mut dumped = Dumped::not_reaped(name)?;
    let arguments = dumped.arguments();
    let mut restore = engine::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    std::thread::sleep(Duration::from_millis(300));
    ensure!(restore.try_wait()?.is_none(), "the restore did not wait for the pid");
    dumped.target.reap()?;
    let output = restore.wait_with_output()?;
    ensure!(output.status.success(), "the restore failed: {}", said(&output));
    dumped.works()
}

/// With `--root` that directory is the root of every task, whose own was that of the whole system.
fn below_another_root(name: &str) -> anyhow::Result<()> {
    let dumped = Dumped::new(name)?;
    let root = Elsewhere::new()?;
    let mut arguments = dumped.arguments();
    arguments.extend(["--root".to_owned(), root.0.to_string_lossy().into_owned()]);
    engine::succeed(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    for pid in &dumped.pids {
        for (what, wanted) in [("root", ""), ("cwd", ""), ("exe", PROGRAM)] {
            let is = fs::read_link(format!("/proc/{pid}/{what}"))?;
            let wanted = root.0.join(wanted.trim_start_matches('/'));
            ensure!(is == wanted, "{what} of process {pid} is {} and not {}", is.display(), wanted.display());
        }
    }
    dumped.works()
}

/// The root directory, seen at another path too. Nothing here ever removes a directory with what is in it: if the mount
/// were still there, that would be the system.
struct Elsewhere(PathBuf);

impl Elsewhere {
    fn new() -> anyhow::Result<Elsewhere> {
        let place = tempfile::tempdir()?.keep();
        let (none, flags) = (None::<&str>, nix::mount::MsFlags::MS_BIND | nix::mount::MsFlags::MS_REC);
        nix::mount::mount(Some("/"), &place, none, flags, none)?;
        let place = Elsewhere(place);
        // What is unmounted below it must stay where it came from.
        nix::mount::mount(none, &place.0, none, nix::mount::MsFlags::MS_PRIVATE | nix::mount::MsFlags::MS_REC, none)?;
        Ok(place)
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
        let _ = fs::remove_dir(&self.0);
    }
}

/// Kills a restore: then everything is there and works, or nothing is. Returns whether nothing is.
fn kill_restore(dumped: &Dumped, arguments: &[&str], delay: Duration) -> anyhow::Result<bool> {
    let started = Instant::now();
    let mut restore = engine::start(arguments)?;
    std::thread::sleep(delay.saturating_sub(started.elapsed()));
    restore.kill()?;
    let output = restore.wait_with_output()?;
    if let Some(code) = output.status.code().filter(|&code| code != 0) {
        bail!("the restore failed by itself with status {code}: {}", said(&output));
    }
    // A tree that was let go before the kill stays; what was not is killed by the kernel at once or by the guardian.
    let alive = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|s| !s.is_empty() && !s.trim_start().starts_with(['Z', 'X']))
    };
    let settled = |pids: usize| pids == 0 || pids == dumped.pids.len();
    eventually("all or nothing", || {
        reap();
        Ok(settled(dumped.pids.iter().filter(|pid| alive(pid)).count()))
    })?;
    if dumped.pids.iter().any(alive) {
        match dumped.works() {
            Ok(()) => return Ok(false),
            // It may have been on its way to death when it was looked at.
            Err(e) => eventually("the end of all", || {
                reap();
                Ok(!dumped.pids.iter().any(alive))
            })
            .context(e)?,
        }
    }
    dumped.nothing_is_left()?;
    Ok(true)
}
