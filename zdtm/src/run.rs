//! `cargo zdtm run`: which cells are run, side by side; their end, also by Ctrl-C; their results.

use crate::build::Paths;
use crate::cell::{Failure, Outcome};
use crate::cli::{Flavour, RunArgs};
use crate::declare::Case;
use crate::event::{Listener, Start};
use crate::list;
use crate::pool::Pool;
use crate::report::{CaseResult, Status, Summary};
use crate::route::Route;
use crate::setting::{self, Setting};
use anyhow::{Context as _, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// One cell to run.
#[derive(Clone)]
struct Job {
    case: Arc<Case>,
    flavour: Flavour,
    route: Route,
    repeat: usize,
}

/// Runs the cases and reports; the exit status says whether all passed.
pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    setting::check_root("run")?;
    let paths = Paths::locate(args.engine.as_deref())?;
    let alone = args.route == [Route::None];
    if !args.prebuilt {
        paths.build(args.engine.is_none() && !alone)?;
    }
    paths.check(!alone)?;
    let since = Instant::now();
    let jobs = jobs(&paths, args)?;
    let setting = Setting::new(&paths, args.seed, args.kills, args.patience)?;
    let longest = jobs.iter().map(|job| setting.limit(&job.case)).max().unwrap_or_default().as_secs_f64();
    let start = Start { engine: setting.engine.clone(), seed: setting.seed, total: jobs.len(), longest };
    let mut listener = Listener::start(args.events, start);
    let mut results: Vec<CaseResult> = Vec::new();
    let pool = Pool::new()?;
    pool.run(
        args.jobs.max(1),
        &jobs,
        |job| run_job(&setting, job, &pool, args.keep),
        |result| {
            listener.result(&result);
            results.push(result);
        },
    );
    setting.clean()?;
    if pool.cancelled() {
        return Ok(ExitCode::from(130));
    }
    let summary = Summary::new(setting.engine.clone(), setting.seed, results, since.elapsed());
    listener.close(&summary);
    summary.write(args.json.as_deref(), args.junit.as_deref())?;
    Ok(if summary.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn jobs(paths: &Paths, args: &RunArgs) -> anyhow::Result<Vec<Job>> {
    let chosen = list::select(list::cases(paths)?, &args.filters, args.exact);
    if chosen.is_empty() {
        bail!("no case matches {}", args.filters.join(" "));
    }
    let mut jobs = Vec::new();
    for repeat in 1..=args.repeat {
        for case in &chosen {
            let case = Arc::new(case.clone());
            let wanted = |f: &Flavour| args.flavour.is_empty() || args.flavour.contains(f);
            for flavour in case.declaration.flavours.iter().copied().filter(wanted) {
                for route in routes(&case, &args.route) {
                    jobs.push(Job { case: case.clone(), flavour, route, repeat });
                }
            }
        }
    }
    Ok(jobs)
}

/// The case's routes, or those of them that are asked for; `none` suits every case.
fn routes(case: &Case, wanted: &[Route]) -> Vec<Route> {
    let declared = &case.declaration.routes;
    if wanted.is_empty() {
        return declared.clone();
    }
    wanted.iter().copied().filter(|route| *route == Route::None || declared.contains(route)).collect()
}

impl Job {
    fn dir_name(&self) -> String {
        let repeat = if self.repeat > 1 { format!(".{}", self.repeat) } else { String::new() };
        let flavour = if self.flavour == Flavour::Host { String::new() } else { format!(".{}", self.flavour.name()) };
        format!("{}{flavour}.{}{repeat}", self.case.name.replace('/', "-"), self.route.name())
    }
}

/// Runs a job; its directory is gone afterwards. None where the run was cancelled.
fn run_job(setting: &Setting, job: &Job, pool: &Pool, everything: bool) -> Option<CaseResult> {
    let since = Instant::now();
    // What an earlier run left says nothing about this one.
    let _removed = fs::remove_dir_all(setting.failures.join(job.dir_name()));
    let (status, phases) = match list::missing(&job.case) {
        Some(reason) => (Status::Skip { reason }, Vec::new()),
        None => {
            let dir = setting.dir.join(job.dir_name());
            let outcome = run_cell(setting, job, &dir, pool).unwrap_or_else(|e| Outcome::failed(Failure::from(e)));
            if pool.cancelled() {
                return None;
            }
            let kept = match &outcome.failure {
                Some(_) => keep(setting, job, &dir, everything).ok(),
                None => None,
            };
            let removed = if dir.exists() { fs::remove_dir_all(&dir) } else { Ok(()) };
            let failure = outcome.failure.or_else(|| {
                removed.err().map(|e| Failure::new(format!("what the run left behind cannot be removed: {e}")))
            });
            (failure.map_or(Status::Pass, |failure| Status::Fail { failure, kept }), outcome.phases)
        }
    };
    let (case, seconds) = (job.case.name.clone(), since.elapsed().as_secs_f64());
    Some(CaseResult { case, flavour: job.flavour, route: job.route, repeat: job.repeat, seconds, phases, status })
}

fn run_cell(setting: &Setting, job: &Job, dir: &Path, pool: &Pool) -> anyhow::Result<Outcome> {
    setting.run_cell(&setting.spec(&job.case, job.flavour, job.route, job.repeat, dir), pool)
}

/// Keeps what explains a failure: everything with --keep, else logs and specification.
fn keep(setting: &Setting, job: &Job, dir: &Path, everything: bool) -> anyhow::Result<PathBuf> {
    let to = setting.failures.join(job.dir_name());
    fs::create_dir_all(&setting.failures)?;
    if everything {
        fs::rename(dir, &to)?;
        return Ok(to);
    }
    for path in logs(dir)? {
        let target = to.join(path.strip_prefix(dir)?);
        fs::create_dir_all(target.parent().context("a log has a directory")?)?;
        fs::copy(&path, &target)?;
    }
    Ok(to)
}

/// The files of a run's directory that say what happened: at its top, the engine's logs, the case's own.
fn logs(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            found.push(entry.path());
        } else if entry.file_name() == "scratch" {
            found.extend(["log", "verdict"].map(|name| entry.path().join(name)).into_iter().filter(|p| p.is_file()));
        } else if entry.file_name().as_encoded_bytes().starts_with(b"img-") {
            let inside = fs::read_dir(entry.path())?.flatten().map(|e| e.path());
            found.extend(inside.filter(|p| p.extension().is_some_and(|e| e == "log" || e == "out")));
        }
    }
    Ok(found)
}
