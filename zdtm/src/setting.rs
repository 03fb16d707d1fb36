//! What all cells of a run share, and how one is run.

use crate::build::Paths;
use crate::cell::{Failure, Outcome, Spec};
use crate::cli::Flavour;
use crate::declare::Case;
use crate::pool::{self, Pool};
use crate::route::Route;
use anyhow::{Context as _, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Time beyond a run's own limit after which its cell is ended from outside.
const GRACE: Duration = Duration::from_secs(10);
/// Seconds that engines give the freezing of a tree where they are told nothing.
const FREEZING: f64 = 10.0;

/// What the cells of a run share.
pub struct Setting {
    /// The run's directory, removed at its end.
    pub dir: PathBuf,
    /// The cases' binary of this run: a link, so that a build meanwhile does not change it under the processes.
    cases: PathBuf,
    /// The engine.
    pub engine: PathBuf,
    /// Where what explains failures is kept.
    pub failures: PathBuf,
    /// What random instants derive from.
    pub seed: u64,
    kills: usize,
    patience: f64,
}

/// Fails with what to type where the user is not root.
pub fn check_root(command: &str) -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("dumping and restoring processes takes root; type\n    sudo -E env \"PATH=$PATH\" cargo zdtm {command}");
    }
    Ok(())
}

impl Setting {
    /// Makes the run's directory; without a seed the clock gives one.
    pub fn new(paths: &Paths, seed: Option<u64>, kills: usize, patience: f64) -> anyhow::Result<Setting> {
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
        let seed = seed.unwrap_or_else(|| clock() % 1_000_000_000);
        let (engine, failures) = (paths.engine.clone(), runs.join("failures"));
        Ok(Setting { dir, cases, engine, failures, seed, kills, patience })
    }

    /// Removes the run's directory.
    pub fn clean(&self) -> anyhow::Result<()> {
        fs::remove_dir_all(&self.dir).with_context(|| format!("failed to remove {}", self.dir.display()))
    }

    /// After how long a case's cell is ended from outside.
    pub fn limit(&self, case: &Case) -> Duration {
        case.declaration.timeout.mul_f64(self.patience) + GRACE
    }

    /// What a cell for a case is to do in `dir`.
    pub fn spec(&self, case: &Case, flavour: Flavour, route: Route, repeat: usize, dir: &Path) -> Spec {
        let declared = &case.declaration;
        let name = format!("{} {repeat}", case.name);
        // Each cell has a seed of its own, the same whatever else is run.
        let seed = name.bytes().fold(self.seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Spec {
            case: case.name.clone(),
            flavour,
            route,
            dir: dir.to_owned(),
            cases: self.cases.clone(),
            engine: self.engine.clone(),
            limit: declared.timeout.as_secs_f64() * self.patience,
            patience: self.patience,
            seed,
            kills: self.kills,
            session: declared.session,
            restorer: declared.restorer,
            dump_options: self.dump_options(case),
            restore_options: declared.restore_options.clone(),
            dump_fails: declared.dump_fails.clone(),
            unseen: declared.unseen.is_some(),
            restore_fails: declared.restore_fails.clone(),
            damage: declared.damage.clone(),
            exempt: declared.exempt.clone(),
        }
    }

    /// The case's options of a dump; a slow machine also takes longer to freeze a tree.
    fn dump_options(&self, case: &Case) -> Vec<String> {
        let mut options = case.declaration.dump_options.clone();
        if self.patience > 1.0 && !options.iter().any(|option| option.starts_with("--timeout")) {
            options.extend(["--timeout".to_owned(), (FREEZING * self.patience).ceil().to_string()]);
        }
        options
    }

    /// Runs a cell in a fresh directory, which stays.
    pub fn run_cell(&self, spec: &Spec, pool: &Pool) -> anyhow::Result<Outcome> {
        let dir = &spec.dir;
        fs::create_dir(dir).with_context(|| format!("failed to make {}", dir.display()))?;
        let limit = Duration::from_secs_f64(spec.limit) + GRACE;
        let path = dir.join("spec.json");
        fs::write(&path, serde_json::to_vec_pretty(spec)?).context("failed to write the cell's specification")?;
        let ended = pool.run_worker(&path, &dir.join("cell.out"), limit)?;
        Ok(Outcome::read(dir).unwrap_or_else(|| {
            let said = fs::read_to_string(dir.join("cell.out")).unwrap_or_default();
            let said = said.lines().map(str::to_owned).collect();
            Outcome::failed(Failure::with(format!("the cell ended without a result ({ended})"), said))
        }))
    }
}
