//! A program of `tests/targets` at work, seen from outside.

use anyhow::{Context as _, bail, ensure};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take that has to happen: a thread that lost its tracer is parked for two seconds, and the
/// machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// The mark in front of all that the engine lends to a process.
const MARK: u64 = 0x7363_7261_7463_6831;

/// What must be as before after a dump: of each thread its signals, descriptors, and mappings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    signals: BTreeMap<i32, Vec<String>>,
    descriptors: BTreeMap<String, PathBuf>,
    maps: Vec<String>,
}

/// A target that runs. Dropping it kills it.
pub struct Target {
    /// Its pid.
    pub pid: i32,
    child: Option<Child>,
    page: File,
    before: Witness,
}

impl Drop for Target {
    fn drop(&mut self) {
        for pid in tree(self.pid) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
        }
        if let Some(child) = &mut self.child {
            let _ = child.wait();
        }
    }
}

/// Waits until `done` says so.
///
/// # Errors
/// It does not within [`PATIENCE`]; the error says `what` was waited for.
pub fn eventually(what: &str, mut done: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let started = Instant::now();
    while !done()? {
        ensure!(started.elapsed() < PATIENCE, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// A process and all below it.
pub fn tree(root: i32) -> Vec<i32> {
    let mut all = vec![root];
    let mut i = 0;
    while i < all.len() {
        all.extend(children(all[i]));
        i += 1;
    }
    all
}

/// The children of a process.
pub fn children(pid: i32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.map(|t| fs::read_to_string(t.path().join("children")).unwrap_or_default());
    lists.flat_map(|l| l.split_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<i32>>()).collect()
}

/// Whether there is such a process, dead or alive.
pub fn exists(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

impl Target {
    /// Starts the target called `name`, with its shared page in `dir`, by `program`.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start(program: &str, name: &str, dir: &Path) -> anyhow::Result<Target> {
        let path = dir.join("page");
        let page = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        page.set_len(4096)?;
        let log = File::create(dir.join("log"))?;
        let mut command = Command::new(program);
        command.arg(name).arg(&path).current_dir("/").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // It leads a session of its own, so that nothing of the tree lies outside of it.
        let child = command.spawn().context("failed to start a target")?;
        let pid = child.id() as i32;
        let none = Witness { signals: BTreeMap::new(), descriptors: BTreeMap::new(), maps: Vec::new() };
        let mut target = Target { pid, child: Some(child), page, before: none };
        eventually("the target's readiness", || Ok(target.word(0)? == 1))?;
        target.advances()?;
        target.before = target.witness()?;
        Ok(target)
    }

    fn word(&self, index: u64) -> anyhow::Result<u64> {
        let mut word = [0; 8];
        self.page.read_exact_at(&mut word, index * 8)?;
        Ok(u64::from_ne_bytes(word))
    }

    /// Every worker finishes two more pieces of work, and none was ever wrong.
    ///
    /// # Errors
    /// A worker stands still, or a piece of work was wrong.
    pub fn advances(&self) -> anyhow::Result<()> {
        for worker in 0..self.word(3)? {
            let before = self.word(8 + worker)?;
            eventually("the target's next piece of work", || {
                ensure!(self.is_alive(), "the target died");
                Ok(self.word(8 + worker)? >= before + 2)
            })?;
        }
        let failure = self.word(2)?;
        ensure!(failure == 0, "the target got a wrong result, code {failure}");
        Ok(())
    }

    /// What it says that it received, by kind.
    ///
    /// # Errors
    /// Its page cannot be read.
    pub fn received(&self, kind: u64) -> anyhow::Result<u64> {
        self.word(16 + kind)
    }

    /// Whether its root runs or waits, and is no zombie.
    pub fn is_alive(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with(['Z', 'X']))
    }

    /// Sends its root a signal.
    ///
    /// # Errors
    /// It is gone.
    pub fn signal(&self, signal: nix::sys::signal::Signal) -> anyhow::Result<()> {
        Ok(nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid), signal)?)
    }

    /// The state letter of its root.
    pub fn state(&self) -> Option<char> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        stat.rsplit(')').next()?.trim_start().chars().next()
    }

    fn witness(&self) -> anyhow::Result<Witness> {
        let mut signals = BTreeMap::new();
        for process in tree(self.pid) {
            for thread in fs::read_dir(format!("/proc/{process}/task"))? {
                let thread = thread?;
                let status = fs::read_to_string(thread.path().join("status"))?;
                let keys = ["SigBlk", "SigIgn", "SigCgt", "TracerPid", "Seccomp", "NoNewPrivs"];
                let lines = status.lines().filter(|l| keys.iter().any(|k| l.starts_with(k)));
                signals.insert(thread.file_name().to_string_lossy().parse()?, lines.map(str::to_owned).collect());
            }
        }
        let mut descriptors = BTreeMap::new();
        for fd in fs::read_dir(format!("/proc/{}/fd", self.pid))? {
            let fd = fd?;
            let info = fs::read_to_string(format!("/proc/{}/fdinfo/{}", self.pid, fd.file_name().to_string_lossy()))?;
            let flags = info.lines().find(|l| l.starts_with("flags")).unwrap_or_default();
            descriptors.insert(format!("{} {flags}", fd.file_name().to_string_lossy()), fs::read_link(fd.path())?);
        }
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.pid))?;
        Ok(Witness { signals, descriptors, maps: maps.lines().map(str::to_owned).collect() })
    }

    /// It is as it was when it was started, but for mappings that a killed engine may have left: with `clean`, these
    /// are gone too, and the vDSO is as the kernel made it. Where a stopped process lost its tracer (`halted`) its
    /// threads are still on their way home, which gives their masks back.
    ///
    /// # Errors
    /// What differs.
    pub fn is_as_before(&self, clean: bool, halted: bool) -> anyhow::Result<()> {
        let mut last = String::new();
        let mut before = self.before.clone();
        if halted {
            before.signals.values_mut().flatten().filter(|l| l.starts_with("SigBlk")).for_each(String::clear);
        }
        let same = eventually("the state of before", || {
            ensure!(self.is_alive(), "the target died");
            // A thread may end while it is looked at, or be in a handler.
            let Ok(mut now) = self.witness() else { return Ok(false) };
            if !clean {
                now.maps = self.before.maps.clone();
            }
            if halted {
                now.signals.values_mut().flatten().filter(|l| l.starts_with("SigBlk")).for_each(String::clear);
            }
            last = difference(&before, &now);
            Ok(now == before)
        });
        same.with_context(|| last.clone())?;
        if clean && self.is_marked()? {
            bail!("the vDSO still holds the engine's stub");
        }
        Ok(())
    }

    /// Whether the engine's mark stands in the vDSO.
    fn is_marked(&self) -> anyhow::Result<bool> {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.pid))?;
        let line = maps.lines().find(|l| l.ends_with("[vdso]")).context("there is no vDSO")?;
        let (start, end) = line.split(' ').next().and_then(|r| r.split_once('-')).context("no range")?;
        let (start, end) = (u64::from_str_radix(start, 16)?, u64::from_str_radix(end, 16)?);
        let mut bytes = vec![0; (end - start) as usize];
        File::open(format!("/proc/{}/mem", self.pid))?.read_exact_at(&mut bytes, start)?;
        Ok(bytes.chunks_exact(8).any(|word| word == MARK.to_ne_bytes()))
    }

    /// Tells it to stop and takes its verdict.
    ///
    /// # Errors
    /// Its result was wrong, or it was killed.
    pub fn finish(mut self) -> anyhow::Result<()> {
        self.page.write_all_at(&1u64.to_ne_bytes(), 8)?;
        match self.child.take() {
            Some(mut child) => {
                let mut status = None;
                eventually("the target's end", || {
                    status = child.try_wait()?;
                    Ok(status.is_some())
                })?;
                ensure!(status.is_some_and(|s| s.success()), "the target ended with {status:?}");
            }
            None => eventually("the target's end", || Ok(!self.is_alive()))?,
        }
        let failure = self.word(2)?;
        ensure!(failure == 0, "the target got a wrong result, code {failure}");
        Ok(())
    }

    /// The target was killed by a dump: takes its end, so that its pid is free.
    ///
    /// # Errors
    /// It still lives.
    pub fn reap(&mut self) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        eventually("the end of the dumped target", || Ok(child.try_wait()?.is_some()))
    }
}

fn difference(before: &Witness, now: &Witness) -> String {
    let mut all = Vec::new();
    if before.signals != now.signals {
        all.push(format!("signals {:?} are now {:?}", before.signals, now.signals));
    }
    if before.descriptors != now.descriptors {
        all.push(format!("descriptors {:?} are now {:?}", before.descriptors, now.descriptors));
    }
    let lost = before.maps.iter().filter(|line| !now.maps.contains(line)).map(|line| format!("- {line}"));
    let new = now.maps.iter().filter(|line| !before.maps.contains(line)).map(|line| format!("+ {line}"));
    all.extend(lost.chain(new));
    all.join("\n")
}
