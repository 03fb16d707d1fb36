//! A dump that is killed, cancelled or fails at any step leaves its target unharmed and no images that look complete.
//!
//! `STASIS_KILLS` says how often each target's dump is killed (40), `STASIS_SEED` repeats the instants of a run. With
//! `STASIS_SECCOMP_TRACER=1` the tracer of tasks under seccomp is killed as well, which some do not survive: the kernel
//! suspends seccomp only while the tracer lives.

use anyhow::{Context as _, bail, ensure};
use libtest_mimic::{Arguments, Failed, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stasis_tests::engine::{self, Random, number, said};
use stasis_tests::target::{PATIENCE, Target, children, eventually, exists};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_stasis-targets");
/// Targets that the death of their tracer does not harm.
const TARGETS: [&str; 12] = [
    "checksum",
    "tree",
    "nanosleep",
    "futex",
    "ppoll",
    "sigsuspend",
    "read",
    "trap-blocked",
    "trap-ignored",
    "all-caught",
    "timer",
    "rseq",
];
/// Targets under seccomp.
const CONFINED: [&str; 2] = ["strict", "filtered"];
/// The variable that makes this program the part of a test that runs in a mount namespace of its own.
const INNER: &str = "STASIS_FAULTS_INNER";
const MARK: &str = "stasis-manifest.img.tmp";
const MANIFEST: &str = "stasis-manifest.img";

fn main() -> ExitCode {
    if let Ok(name) = env::var(INNER) {
        let result = match name.strip_prefix("late/") {
            Some(name) => sent_late(name),
            None => disk_full_inside(),
        };
        return match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => {
                eprintln!("{e:#}");
                ExitCode::FAILURE
            }
        };
    }
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for name in TARGETS {
        trials.push(trial(format!("kill/{name}"), None, move || killed(name, &Victim::ALL, false)));
    }
    let confined: &[Victim] =
        if env::var_os("STASIS_SECCOMP_TRACER").is_some() { &Victim::ALL } else { &[Victim::Front] };
    for name in CONFINED {
        trials.push(trial(format!("kill/{name}"), None, move || killed(name, confined, false)));
    }
    // Where the tracer is killed between the stop and the moment when it tells the thread to go on with its call, the
    // call ends with EINTR.
    trials.push(trial("kill/unrestarted".into(), None, || killed("unrestarted", &[Victim::Front], false)));
    trials.push(trial("kill/stopped".into(), None, || killed("checksum", &Victim::ALL, true)));
    for name in ["checksum", "tree", "filtered", "unrestarted"] {
        trials.push(trial(format!("fail at each step/{name}"), None, move || fails_at_each_step(name)));
    }
    // A stop ends the calls of "unrestarted" with EINTR also without a dump (signal(7)).
    for name in ["checksum", "tree", "nanosleep", "futex"] {
        trials.push(trial(format!("stop/{name}"), None, move || stopped_meanwhile(name)));
    }
    let no_strace = (!has_program("strace")).then_some("strace is not installed");
    trials.push(trial("stop/slow signals".into(), no_strace, stopped_slowly));
    for name in LATE {
        trials.push(trial(format!("late/{name}"), None, move || inside(&format!("late/{name}"))));
    }
    trials.push(trial("target dies".into(), None, target_dies));
    trials.push(trial("disk full".into(), None, || inside("disk full")));
    trials.push(trial("sync".into(), no_strace, synced));
    trials.push(trial("cancelled".into(), None, cancelled));
    for version in [1, 2] {
        let lacking = hierarchy(version).is_none().then_some("there is no such cgroup hierarchy");
        trials.push(trial(format!("freeze cgroup/v{version}"), lacking, move || freeze_cgroup(version)));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(name: String, lacking: Option<&str>, test: impl FnOnce() -> anyhow::Result<()> + Send + 'static) -> Trial {
    let lacking = engine::lacking().or(lacking);
    let name = lacking.map_or(name.clone(), |why| format!("{name} (skipped: {why})"));
    Trial::test(name, move || test().map_err(|e| Failed::from(format!("{e:#}")))).with_ignored_flag(lacking.is_some())
}

/// Which process of the engine is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    /// The one that was started.
    Front,
    /// Its child, which traces the target.
    Tracer,
    /// Both.
    Both,
}

impl Victim {
    const ALL: [Victim; 3] = [Victim::Front, Victim::Tracer, Victim::Both];
}

/// A directory for a target, and one for images in it.
fn place() -> anyhow::Result<(TempDir, PathBuf)> {
    let dir = tempfile::tempdir()?;
    let images = dir.path().join("images");
    fs::create_dir(&images)?;
    Ok((dir, images))
}

fn line<'a>(pid: &'a str, images: &'a Path) -> anyhow::Result<Vec<&'a str>> {
    Ok(vec!["dump", "-R", "-t", pid, "-D", images.to_str().context("a path that is no text")?])
}

/// Dumps and leaves running, as often as it takes to know how long that lasts.
fn duration(pid: &str, images: &Path) -> anyhow::Result<Duration> {
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(engine::succeed(&line(pid, images)?)?);
        empty(images)?;
    }
    all.sort();
    Ok(all[2])
}

fn empty(dir: &Path) -> anyhow::Result<()> {
    fs::remove_dir_all(dir)?;
    Ok(fs::create_dir(dir)?)
}

fn names(dir: &Path) -> anyhow::Result<Vec<String>> {
    fs::read_dir(dir)?.map(|e| Ok(e?.file_name().to_string_lossy().into_owned())).collect()
}

/// Kills dumps of a target at random instants; it must live on as if nothing had been.
fn killed(name: &str, victims: &[Victim], stopped: bool) -> anyhow::Result<()> {
    let (dir, images) = place()?;
    let target = Target::start(PROGRAM, name, dir.path())?;
    let pid = target.pid.to_string();
    if stopped {
        target.signal(Signal::SIGSTOP)?;
        eventually("the stop", || Ok(target.state() == Some('T')))?;
    }
    let duration = duration(&pid, &images)?;
    let mut random = Random::new(name);
    for round in 0..number("STASIS_KILLS", 40) {
        let victim = victims[round % victims.len()];
        let delay = duration.mul_f64(1.2 * random.unit());
        let what = format!("{name}: kill {round} of {victim:?} after {delay:?} of {duration:?}");
        kill_dump(&pid, &images, victim, delay).context(what.clone())?;
        lives_on(&target, stopped, false).context(what.clone())?;
        empty(&images)?;
    }
    engine::succeed(&line(&pid, &images)?).context("the last dump")?;
    lives_on(&target, stopped, true).context("after the last dump")?;
    if stopped {
        target.signal(Signal::SIGCONT)?;
        target.advances()?;
    }
    target.finish()
}

fn lives_on(target: &Target, stopped: bool, clean: bool) -> anyhow::Result<()> {
    target.is_as_before(clean, stopped && !clean)?;
    if stopped {
        return eventually("the stopped state", || Ok(target.state() == Some('T')));
    }
    target.advances()
}

/// Whether a process still does something.
fn works(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    exists(pid) && !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with(['Z', 'X'])
}

/// Starts a dump and kills it after a while; what it leaves must not look complete unless it is.
fn kill_dump(pid: &str, images: &Path, victim: Victim, delay: Duration) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut front = engine::start(&line(pid, images)?)?;
    std::thread::sleep(delay.saturating_sub(started.elapsed()));
    let tracer = children(front.id() as i32).first().copied();
    if victim != Victim::Front
        && let Some(tracer) = tracer
    {
        let _ = kill(Pid::from_raw(tracer), Signal::SIGKILL);
    }
    if victim != Victim::Tracer {
        front.kill()?;
    }
    let output = front.wait_with_output()?;
    if let Some(tracer) = tracer {
        eventually("the end of the tracer", || Ok(!works(tracer)))?;
    }
    let names = names(images)?;
    if names.iter().any(|name| name == MANIFEST) {
        ensure!(!names.iter().any(|name| name == MARK), "marked complete and incomplete: {names:?}");
        return Ok(());
    }
    match (victim, output.status.code()) {
        // Of both the first may have told the second before that was killed as well.
        (Victim::Tracer | Victim::Both, Some(1)) if tracer.is_some() => {}
        (_, Some(code)) => bail!("the dump failed by itself with status {code}: {}", said(&output)),
        _ => {}
    }
    // Only where nobody was left to clean up may something be left, and then it says that it is incomplete.
    if !names.is_empty() {
        ensure!(victim != Victim::Tracer, "left behind: {names:?}");
        ensure!(names.iter().any(|name| name == MARK), "incomplete and not marked: {names:?}");
    }
    Ok(())
}

/// Lets each step of a dump fail in turn.
fn fails_at_each_step(name: &str) -> anyhow::Result<()> {
    let (dir, images) = place()?;
    let target = Target::start(PROGRAM, name, dir.path())?;
    let pid = target.pid.to_string();
    for step in 1.. {
        ensure!(step < 1000, "the dump does not succeed");
        let number = step.to_string();
        let mut arguments = line(&pid, &images)?;
        arguments.extend(["--sync", "--fault-at", &number]);
        let output = engine::run(&arguments)?;
        let what = || format!("step {step}: {}", said(&output));
        target.is_as_before(true, false).with_context(what)?;
        if output.status.success() {
            ensure!(step > 20, "only {step} steps were passed");
            println!("{name}: {} steps", step - 1);
            break;
        }
        ensure!(output.status.code() == Some(1) && !said(&output).is_empty(), "{:?}: {}", output.status, what());
        let left = names(&images)?;
        ensure!(left.is_empty(), "{}: left behind: {left:?}", what());
    }
    target.advances()?;
    target.finish()
}

/// Stops and continues a target at random instants of its dump, which succeeds: afterwards it is what it was told last.
fn stopped_meanwhile(name: &str) -> anyhow::Result<()> {
    const TOLD: [&[Signal]; 4] = [
        &[Signal::SIGSTOP],
        &[Signal::SIGCONT],
        &[Signal::SIGSTOP, Signal::SIGCONT],
        &[Signal::SIGCONT, Signal::SIGSTOP],
    ];
    let (dir, images) = place()?;
    let target = Target::start(PROGRAM, name, dir.path())?;
    let pid = target.pid.to_string();
    let duration = duration(&pid, &images)?;
    let mut random = Random::new(name);
    for round in 0..number("STASIS_KILLS", 40) {
        let told = TOLD[round % TOLD.len()];
        // What begins with SIGCONT begins stopped.
        if told[0] == Signal::SIGCONT {
            target.signal(Signal::SIGSTOP)?;
            eventually("the stop", || Ok(target.state() == Some('T')))?;
        }
        let mut dump = engine::start(&line(&pid, &images)?)?;
        let delay = duration.mul_f64(1.2 * random.unit());
        std::thread::sleep(delay);
        for signal in told {
            target.signal(*signal)?;
            std::thread::sleep(duration.mul_f64(0.1 * random.unit()));
        }
        let what = || format!("{name}: round {round}, {told:?} after {delay:?} of {duration:?}");
        eventually("the dump's end", || Ok(dump.try_wait()?.is_some())).with_context(what)?;
        let output = dump.wait_with_output()?;
        ensure!(output.status.success(), "{}: {}", what(), said(&output));
        let stopped = told.ends_with(&[Signal::SIGSTOP]);
        lives_on(&target, stopped, true).with_context(what)?;
        if stopped {
            target.signal(Signal::SIGCONT)?;
            target.advances().with_context(what)?;
        }
        empty(&images)?;
    }
    target.finish()
}

/// Stops and continues a target at random instants of dumps by an engine whose own signals take a while to be sent: it
/// runs on, so a stop is not the engine's to give again.
fn stopped_slowly() -> anyhow::Result<()> {
    let (dir, images) = place()?;
    let target = Target::start(PROGRAM, "futex", dir.path())?;
    let pid = target.pid.to_string();
    let mut random = Random::new("slow signals");
    for round in 0..2 * number("STASIS_KILLS", 40) {
        let mut command = Command::new("strace");
        command.args(["-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "inject=kill:delay_enter=3000"]);
        command.arg(engine::path()?).arg("--no-default-config").args(line(&pid, &images)?).stdin(Stdio::null());
        let mut dump = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        std::thread::sleep(Duration::from_millis(60).mul_f64(random.unit()));
        target.signal(Signal::SIGSTOP)?;
        std::thread::sleep(Duration::from_millis(6).mul_f64(random.unit()));
        target.signal(Signal::SIGCONT)?;
        ensure!(dump.wait()?.success(), "round {round}: the dump failed");
        target.advances().with_context(|| format!("round {round}"))?;
        empty(&images)?;
    }
    target.finish()
}

/// A target of several threads that is killed while it is dumped: the dump ends, and says so.
fn target_dies() -> anyhow::Result<()> {
    let mut random = Random::new("target dies");
    let mut failures = 0;
    for round in 0..number("STASIS_KILLS", 40) {
        let (dir, images) = place()?;
        let target = Target::start(PROGRAM, "checksum", dir.path())?;
        let pid = target.pid.to_string();
        let mut dump = engine::start(&line(&pid, &images)?)?;
        let delay = Duration::from_millis(10).mul_f64(random.unit());
        std::thread::sleep(delay);
        target.signal(Signal::SIGKILL)?;
        let what = format!("round {round}: the dump's end after its target was killed after {delay:?}");
        eventually(&what, || Ok(dump.try_wait()?.is_some()))?;
        failures += i32::from(!dump.wait()?.success());
    }
    ensure!(failures > 0, "no dump noticed that its target was killed");
    Ok(())
}

/// Runs a test in this program again, alone: nothing stays mounted, and nobody else takes the pids of what is restored.
fn inside(name: &str) -> anyhow::Result<()> {
    let mut command = stasis_tests::alone()?;
    let output =
        command.env(INNER, name).env("STASIS_ENGINE", engine::path()?).output().context("failed to start it")?;
    ensure!(output.status.success(), "{}", said(&output));
    Ok(())
}

/// What is sent to a target while its dump writes its memory, long after its queues were read.
const LATE: [&str; 6] = ["payloads", "stop", "continue", "stop and continue", "timers run out", "kill"];

/// A dump that kills its target takes in what was sent meanwhile.
fn sent_late(name: &str) -> anyhow::Result<()> {
    let (dir, images) = place()?;
    let mut target = Target::start(PROGRAM, "receiver", dir.path())?;
    let threads = || fs::read_dir(format!("/proc/{}/task", target.pid)).into_iter().flatten().flatten();
    let mut tasks: Vec<String> = threads().map(|t| t.file_name().to_string_lossy().into_owned()).collect();
    tasks.sort_by_key(|tid| tid.parse::<i32>().ok());
    let send = |thread: usize, signal, value: i32| -> anyhow::Result<()> {
        let status = Command::new(PROGRAM).args(["send", &tasks[thread], signal, &value.to_string()]).status()?;
        ensure!(status.success(), "the signal was not sent");
        Ok(())
    };
    if name == "continue" {
        target.signal(Signal::SIGSTOP)?;
        eventually("the stop", || Ok(target.state() == Some('T')))?;
    }
    let output = meanwhile(&target, &images, || match name {
        "payloads" => {
            (1..=3).try_for_each(|value| send(0, "37", value))?;
            (4..=6).try_for_each(|value| send(1, "38", value))
        }
        "stop" => target.signal(Signal::SIGSTOP),
        "continue" => target.signal(Signal::SIGCONT),
        "stop and continue" => target.signal(Signal::SIGSTOP).and_then(|()| target.signal(Signal::SIGCONT)),
        "timers run out" => {
            std::thread::sleep(Duration::from_millis(1600));
            Ok(())
        }
        _ => target.signal(Signal::SIGKILL),
    })?;
    if name == "kill" {
        ensure!(output.status.code() == Some(1) && !said(&output).is_empty(), "{}: {}", output.status, said(&output));
        ensure!(names(&images)?.is_empty(), "left behind: {:?}", names(&images)?);
        return target.reap();
    }
    ensure!(output.status.success(), "{}", said(&output));
    target.reap()?;
    engine::succeed(&["restore", "-d", "-D", &images.to_string_lossy()])?;
    if name == "stop" {
        eventually("the stop of the restored target", || Ok(target.state() == Some('T')))?;
        target.signal(Signal::SIGCONT)?;
    }
    target.advances()?;
    let expected = if name == "payloads" { [123, 456] } else { [0, 0] };
    eventually("the right payloads", || Ok([target.received(0)?, target.received(1)?] == expected))?;
    eventually("the ends of the timers", || Ok(target.received(2)? > 0 && target.received(3)? > 0))?;
    target.advances()?;
    ensure!([target.received(2)?, target.received(3)?] == [1, 1], "timers ran out more than once");
    target.finish()
}

/// Dumps a target and does something when the engine has read everything but memory, and stands still.
fn meanwhile(target: &Target, images: &Path, act: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Output> {
    let mut dump = engine::start(&["dump", "-t", &target.pid.to_string(), "-D", &images.to_string_lossy()])?;
    while !images.join("pages-1.img").exists() {
        if dump.try_wait()?.is_some() {
            bail!("no page was written: {}", said(&dump.wait_with_output()?));
        }
    }
    let tracer = children(dump.id() as i32).first().map(|&pid| Pid::from_raw(pid)).context("there is no tracer")?;
    kill(tracer, Signal::SIGSTOP)?;
    let unfinished = !images.join(MANIFEST).exists();
    let acted = if unfinished { act() } else { Err(anyhow::anyhow!("the dump was over before anything was sent")) };
    kill(tracer, Signal::SIGCONT)?;
    let output = dump.wait_with_output()?;
    acted.map(|()| output)
}

/// A directory of images on a file system that is full before the dump is.
fn disk_full_inside() -> anyhow::Result<()> {
    let (dir, images) = place()?;
    let target = Target::start(PROGRAM, "checksum", dir.path())?;
    let pid = target.pid.to_string();
    let mut failures = 0;
    for kib in [8, 16, 64, 128, 192, 256, 1024, 8192] {
        let size = format!("size={kib}k");
        let flags = nix::mount::MsFlags::empty();
        nix::mount::mount(Some("none"), &images, Some("tmpfs"), flags, Some(size.as_str()))?;
        let output = engine::run(&line(&pid, &images)?)?;
        let names = names(&images)?;
        nix::mount::umount(&images)?;
        target.is_as_before(true, false)?;
        if output.status.success() {
            ensure!(names.iter().any(|name| name == MANIFEST), "success without a manifest");
            continue;
        }
        failures += 1;
        let errors = said(&output);
        ensure!(errors.contains("No space left"), "the error does not say why: {errors}");
        ensure!(names.is_empty(), "left behind: {names:?}");
    }
    ensure!((1..8).contains(&failures), "{failures} of 8 sizes were too small");
    target.advances()?;
    target.finish()
}

fn has_program(name: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(name).is_file()))
}

/// With `--sync` every file and then the directory are on disk before the tree is killed.
fn synced() -> anyhow::Result<()> {
    let (dir, images) = place()?;
    let mut target = Target::start(PROGRAM, "checksum", dir.path())?;
    let trace = dir.path().join("trace");
    let calls = "trace=fsync,openat,rename,renameat,renameat2,pidfd_send_signal,kill";
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-e", calls, "-o"]).arg(&trace).arg(engine::path()?);
    command.args(["--no-default-config", "dump", "--sync", "-t", &target.pid.to_string(), "-D"]).arg(&images);
    let output = command.output()?;
    ensure!(output.status.success(), "{}: {}", output.status, said(&output));
    target.reap()?;
    let text = fs::read_to_string(&trace)?;
    let lines: Vec<&str> = text.lines().collect();
    let killed = lines.iter().position(|l| l.contains("pidfd_send_signal(") && l.contains("SIGKILL"));
    let killed = killed.context("the tree was not killed by pidfd_send_signal")?;
    let synced = |name: &str| lines[..killed].iter().rposition(|l| l.contains("fsync(") && l.contains(name));
    // What the dump cost is known only after it, and is no image.
    for name in names(&images)?.into_iter().filter(|name| name != "stats-dump") {
        // The manifest is synced under the name that it has until it is renamed.
        let name = if name == MANIFEST { MARK.to_owned() } else { name };
        ensure!(synced(&format!("/{name}")).is_some(), "{name} was not synced before the tree was killed");
    }
    let renamed = lines.iter().position(|l| l.contains("rename") && l.contains(MARK)).context("no rename")?;
    let directory = synced("/images>").context("the directory was not synced")?;
    ensure!(directory > renamed, "the directory was not synced after the manifest got its name");
    Ok(())
}

/// A signal that asks for an end cancels the dump.
fn cancelled() -> anyhow::Result<()> {
    let (dir, images) = place()?;
    let target = Target::start(PROGRAM, "tree", dir.path())?;
    let pid = target.pid.to_string();
    let duration = duration(&pid, &images)?;
    let mut random = Random::new("cancelled");
    let mut cancelled = 0;
    for round in 0..number("STASIS_KILLS", 40) {
        let signal = if round % 2 == 0 { Signal::SIGINT } else { Signal::SIGTERM };
        let mut front = engine::start(&line(&pid, &images)?)?;
        std::thread::sleep(duration.mul_f64(random.unit()));
        kill(Pid::from_raw(front.id() as i32), signal)?;
        let status: ExitStatus = front.wait()?;
        let complete = names(&images)?.iter().any(|name| name == MANIFEST);
        match (status.code(), status.signal()) {
            (Some(0), _) => ensure!(complete, "success without a manifest"),
            (Some(code), _) if code == 128 + signal as i32 => {
                cancelled += 1;
                ensure!(names(&images)?.is_empty(), "left behind: {:?}", names(&images)?);
            }
            // Before anything was begun the signal has its default action.
            (None, Some(by)) if by == signal as i32 => ensure!(names(&images)?.is_empty(), "left behind"),
            _ => bail!("{signal} ended the dump with {status}"),
        }
        target.is_as_before(true, false)?;
        empty(&images)?;
    }
    ensure!(cancelled > 0, "no dump was cancelled");
    target.advances()?;
    target.finish()
}

/// The root of the cgroup hierarchy that has a freezer of this version.
fn hierarchy(version: u8) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let fits = |fields: &[&str]| match version {
        1 => fields[2] == "cgroup" && fields[3].split(',').any(|o| o == "freezer"),
        _ => fields[2] == "cgroup2",
    };
    let line = mounts.lines().map(|l| l.split(' ').collect::<Vec<_>>()).find(|f| f.len() > 3 && fits(f))?;
    Some(line[1].into())
}

/// A cgroup of a test; its processes move out and it is removed when dropped.
struct Cgroup(PathBuf);

impl Drop for Cgroup {
    fn drop(&mut self) {
        let started = Instant::now();
        while fs::remove_dir(&self.0).is_err() && started.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A cgroup that `--freeze-cgroup` froze is thawed again, whoever is killed, unless both are.
fn freeze_cgroup(version: u8) -> anyhow::Result<()> {
    let root = hierarchy(version).context("no hierarchy")?;
    let cgroup = Cgroup(root.join(format!("stasis-faults-{}-{version}", std::process::id())));
    fs::create_dir(&cgroup.0)?;
    let (dir, images) = place()?;
    let target = Target::start(PROGRAM, "tree", dir.path())?;
    for pid in stasis_tests::target::tree(target.pid) {
        fs::write(cgroup.0.join("cgroup.procs"), pid.to_string())?;
    }
    let (pid, path) = (target.pid.to_string(), cgroup.0.to_string_lossy().into_owned());
    let mut arguments = line(&pid, &images)?;
    arguments.extend(["--freeze-cgroup", &path]);
    engine::succeed(&arguments)?;
    target.advances()?;
    let duration = engine::succeed(&arguments)?;
    let mut random = Random::new("freeze cgroup");
    for round in 0..number("STASIS_KILLS", 40) {
        let mut front = engine::start(&arguments)?;
        std::thread::sleep(duration.mul_f64(random.unit()));
        let tracer = children(front.id() as i32).first().copied();
        match (round % 2, tracer) {
            (0, _) | (_, None) => front.kill()?,
            (_, Some(tracer)) => drop(kill(Pid::from_raw(tracer), Signal::SIGKILL)),
        }
        front.wait()?;
        target.is_as_before(false, false).with_context(|| format!("kill {round}"))?;
        target.advances().with_context(|| format!("kill {round}"))?;
    }
    engine::succeed(&arguments)?;
    target.is_as_before(true, false)?;
    target.finish()
}
