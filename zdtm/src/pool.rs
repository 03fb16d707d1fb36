//! Threads that run cells side by side, and the end of all cells by Ctrl-C or when their time is up.

use anyhow::Context as _;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// The workers that run now, with the instant at which each is ended.
type Workers = Arc<Mutex<BTreeMap<i32, Instant>>>;

/// Runs jobs on threads; knows the cells' workers.
pub struct Pool {
    workers: Workers,
    cancelled: Arc<AtomicBool>,
}

impl Pool {
    /// Takes the signals that end a run (SIGINT, SIGTERM, SIGHUP) and watches the workers' time. To be made before
    /// other threads are: they inherit the mask.
    pub fn new() -> anyhow::Result<Pool> {
        let pool = Pool { workers: Workers::default(), cancelled: Arc::default() };
        let cancelled = pool.cancelled.clone();
        when_cancelled(move || cancelled.store(true, Ordering::SeqCst))?;
        let (workers, cancelled) = (pool.workers.clone(), pool.cancelled.clone());
        thread::spawn(move || supervise(&workers, &cancelled));
        Ok(pool)
    }

    /// Whether the user has ended the run.
    pub fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// Runs the jobs on so many threads; results come to `done` on the caller's thread as they end.
    pub fn run<J: Sync, R: Send>(
        &self,
        threads: usize,
        jobs: &[J],
        work: impl Fn(&J) -> Option<R> + Sync,
        mut done: impl FnMut(R),
    ) {
        let next = AtomicUsize::new(0);
        let (sender, receiver) = mpsc::channel();
        let (next, work) = (&next, &work);
        thread::scope(|scope| {
            for _ in 0..threads.min(jobs.len()) {
                let sender = sender.clone();
                scope.spawn(move || {
                    while let Some(job) = jobs.get(next.fetch_add(1, Ordering::SeqCst))
                        && !self.cancelled()
                    {
                        let Some(result) = work(job) else { break };
                        // The receiver lives until all threads are through.
                        let _sent = sender.send(result);
                    }
                });
            }
            drop(sender);
            receiver.into_iter().for_each(&mut done);
        });
    }

    /// Runs a cell's worker to its end; `limit` later it is ended. What it says goes to the file `out`.
    pub fn run_worker(&self, spec: &Path, out: &Path, limit: Duration) -> anyhow::Result<ExitStatus> {
        let out = File::create(out).context("failed to make the cell's output file")?;
        let mut command = Command::new("/proc/self/exe");
        command.arg("__worker").arg(spec).stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        // Out of the terminal's foreground group: Ctrl-C comes to the harness, which ends the cells in order.
        let mut child = command.process_group(0).spawn().context("failed to start a cell's worker")?;
        let pid = child.id().cast_signed();
        lock(&self.workers).insert(pid, Instant::now() + limit);
        // The pid stays the worker's own until it is collected below; by then no one sends it a signal any more.
        let ended = waitid(Id::Pid(Pid::from_raw(pid)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        lock(&self.workers).remove(&pid);
        ended.context("failed to wait for a cell's worker")?;
        child.wait().context("failed to collect a cell's worker")
    }
}

/// Does something when the user ends the run (SIGINT, SIGTERM, SIGHUP). To be called before other threads are made.
pub fn when_cancelled(then: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block().context("failed to block signals")?;
    thread::spawn(move || {
        while signals.wait().is_err() {}
        then();
    });
    Ok(())
}

/// Ends workers whose time is up, and all of them when the run is cancelled.
fn supervise(workers: &Workers, cancelled: &AtomicBool) {
    loop {
        thread::sleep(Duration::from_millis(50));
        let all = cancelled.load(Ordering::SeqCst);
        for (pid, until) in lock(workers).iter() {
            if all || Instant::now() > *until {
                // A worker that has just ended is a zombie until its thread has taken it out of the table.
                let _ended = kill(Pid::from_raw(*pid), Signal::SIGTERM);
            }
        }
    }
}

fn lock(workers: &Workers) -> MutexGuard<'_, BTreeMap<i32, Instant>> {
    workers.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Removes the directories (`run-PID`) of runs that were killed.
pub fn remove_abandoned(runs: &Path) {
    let Ok(entries) = fs::read_dir(runs) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|n| n.strip_prefix("run-")?.parse().ok());
        if pid.is_some_and(|pid: i32| !crate::process::exists(pid)) {
            // Someone else may be removing it too; what stays is tried again next time.
            let _removed = fs::remove_dir_all(entry.path());
        }
    }
}
