//! `cargo zdtm run`: which cells are run, side by side; their end, also by Ctrl-C; their results.

use crate::build::Paths;
use crate::cell::{Failure, Outcome, Spec};
use crate::cli::{Flavour, RunArgs};
use crate::declare::Case;
use crate::pool::Pool;
use crate::report::{self, CaseResult, Screen, Status, Summary};
use crate::route::Route;
use crate::{list, pool};
use anyhow::{Context as _, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Time beyond a run's own limit after which its cell is ended from outside.
const GRACE: Duration = Duration::from_secs(10);

/// One cell to run.
#[derive(Clone)]
struct Job {
    case: Arc<Case>,
    flavour: Flavour,
    route: Route,
    repeat: usize,
}

/// What all jobs of a run share.
struct Setting {
    /// The run's directory, removed at its end.
    dir: PathBuf,
    /// The cases' binary of this run: a link, so that a build meanwhile does not change it under the processes.
    cases: PathBuf,
    engine: PathBuf,
    failures: PathBuf,
    keep: bool,
    seed: u64,
    kills: usize,
    patience: f64,
}

/// Runs the cases and reports; the exit status says whether all passed.
pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        bail!("dumping and restoring processes takes root; type\n    sudo -E env \"PATH=$PATH\" cargo zdtm run");
    }
    let paths = Paths::locate(args.engine.as_deref())?;
    let alone = args.route == [Route::None];
    if !args.prebuilt {
        paths.build(args.engine.is_none() && !alone)?;
    }
    paths.check(!alone)?;
    let since = Instant::now();
    let jobs = jobs(&paths, args)?;
    let setting = Setting::new(&paths, args)?;
    let mut screen = Screen::new(jobs.len());
    let mut results: Vec<CaseResult> = Vec::new();
    let pool = Pool::new()?;
    pool.run(
        args.jobs.max(1),
        &jobs,
        |job| run_job(&setting, job, &pool),
        |result| {
            screen.show(&result);
            results.push(result);
        },
    );
    setting.clean()?;
    if pool.cancelled() {
        return Ok(ExitCode::from(130));
    }
    let summary = summarise(&setting, results, since.elapsed());
    screen.close(&summary);
    if let Some(path) = &args.json {
        report::write_json(path, &summary)?;
    }
    if let Some(path) = &args.junit {
        report::write_junit(path, &summary)?;
    }
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

fn summarise(setting: &Setting, results: Vec<CaseResult>, time: Duration) -> Summary {
    let count = |wanted: fn(&Status) -> bool| results.iter().filter(|r| wanted(&r.status)).count();
    Summary {
        engine: setting.engine.clone(),
        seed: setting.seed,
        passed: count(|s| matches!(s, Status::Pass)),
        failed: count(|s| matches!(s, Status::Fail { .. })),
        skipped: count(|s| matches!(s, Status::Skip { .. })),
        seconds: time.as_secs_f64(),
        results,
    }
}

impl Setting {
    fn new(paths: &Paths, args: &RunArgs) -> anyhow::Result<Setting> {
        let runs = paths.runs();
        fs::create_dir_all(&runs).with_context(|| format!("failed to make {}", runs.display()))?;
        pool::remove_abandoned(&runs);
        let dir = runs.join(format!("run-{}", std::process::id()));
        fs::create_dir(&dir).with_context(|| format!("failed to make {}", dir.display()))?;
        let cases = dir.join("zdtm-cases");
        fs::hard_link(&paths.cases, &cases)
            .or_else(|_| fs::copy(&paths.cases, &cases).map(drop))
            .context("failed to copy the cases' binary")?;
        let clock = || SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos() as u64);
        let seed = args.seed.unwrap_or_else(|| clock() % 1_000_000_000);
        println!("engine {}, seed {seed}", paths.engine.display());
        Ok(Setting {
            dir,
            cases,
            engine: paths.engine.clone(),
            failures: runs.join("failures"),
            keep: args.keep,
            seed,
            kills: args.kills,
            patience: args.patience,
        })
    }

    fn clean(&self) -> anyhow::Result<()> {
        fs::remove_dir_all(&self.dir).with_context(|| format!("failed to remove {}", self.dir.display()))
    }

    fn spec(&self, job: &Job, dir: PathBuf) -> Spec {
        let declared = &job.case.declaration;
        let name = format!("{} {}", job.case.name, job.repeat);
        // Each cell has a seed of its own, the same whatever else is run.
        let seed = name.bytes().fold(self.seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Spec {
            case: job.case.name.clone(),
            route: job.route,
            dir,
            cases: self.cases.clone(),
            engine: self.engine.clone(),
            limit: declared.timeout.as_secs_f64() * self.patience,
            seed,
            kills: self.kills,
            dump_options: declared.dump_options.clone(),
            restore_options: declared.restore_options.clone(),
            dump_fails: declared.dump_fails.clone(),
            restore_fails: declared.restore_fails.clone(),
            damage: declared.damage.clone(),
            exempt: declared.exempt.clone(),
        }
    }
}

impl Job {
    fn dir_name(&self) -> String {
        let repeat = if self.repeat > 1 { format!(".{}", self.repeat) } else { String::new() };
        format!("{}.{}{repeat}", self.case.name.replace('/', "-"), self.route.name())
    }
}

/// Runs a job; its directory is gone afterwards. None where the run was cancelled.
fn run_job(setting: &Setting, job: &Job, pool: &Pool) -> Option<CaseResult> {
    let since = Instant::now();
    // What an earlier run left says nothing about this one.
    let _removed = fs::remove_dir_all(setting.failures.join(job.dir_name()));
    let (status, phases) = match list::missing(&job.case) {
        Some(reason) => (Status::Skip { reason }, Vec::new()),
        None => {
            let dir = setting.dir.join(job.dir_name());
            let outcome = run_cell(setting, job, &dir, pool).unwrap_or_else(|e| failed(Failure::from(e)));
            if pool.cancelled() {
                return None;
            }
            let kept = match &outcome.failure {
                Some(_) => keep(setting, job, &dir).ok(),
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
    fs::create_dir(dir).with_context(|| format!("failed to make {}", dir.display()))?;
    let spec = setting.spec(job, dir.to_owned());
    let limit = Duration::from_secs_f64(spec.limit) + GRACE;
    let path = dir.join("spec.json");
    fs::write(&path, serde_json::to_vec_pretty(&spec)?).context("failed to write the cell's specification")?;
    let ended = pool.run_worker(&path, &dir.join("cell.out"), limit)?;
    Ok(Outcome::read(dir).unwrap_or_else(|| {
        let said = fs::read_to_string(dir.join("cell.out")).unwrap_or_default();
        failed(Failure::with(
            format!("the cell ended without a result ({ended})"),
            said.lines().map(str::to_owned).collect(),
        ))
    }))
}

fn failed(failure: Failure) -> Outcome {
    Outcome { failure: Some(failure), phases: Vec::new() }
}

/// Keeps what explains a failure: everything with --keep, else logs and specification.
fn keep(setting: &Setting, job: &Job, dir: &Path) -> anyhow::Result<PathBuf> {
    let to = setting.failures.join(job.dir_name());
    fs::create_dir_all(&setting.failures)?;
    if setting.keep {
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
