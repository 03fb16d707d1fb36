//! A cell: pid, mount and IPC namespaces of their own for one run of one case. Of the flavour `ns`, the case's tree has
//! IPC and UTS namespaces apart from those of the engine.
//!
//! Four processes make it. The harness starts the *worker*, which opens the namespaces and starts the *init*, pid 1 of
//! the cell and reaper of all in it; the init runs the route and starts the case and the engine. Pids of parallel runs
//! therefore never collide, and whatever a run leaves behind dies with its init: when the route is through, when the
//! time is up, when the harness ends it, and (by the parent death signal) when the harness itself is killed.

pub mod engine;
pub mod init;
pub mod start;
pub mod terminal;
pub mod tree;
pub mod worker;

use crate::cli::{Flavour, Restorer, Session};
use crate::damage::Damage;
use crate::route::Route;
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a cell is to do: `spec.json` in the run's directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spec {
    /// `area/case`.
    pub case: String,
    /// The surroundings of the tree.
    pub flavour: Flavour,
    /// The way through dumps and restores.
    pub route: Route,
    /// The run's directory: `scratch/`, `img-N/`, logs.
    pub dir: PathBuf,
    /// The cases' binary.
    pub cases: PathBuf,
    /// The engine.
    pub engine: PathBuf,
    /// The time limit in seconds.
    pub limit: f64,
    /// By what all other time limits are multiplied.
    pub patience: f64,
    /// What random instants derive from.
    pub seed: u64,
    /// How often the engine is killed on the route kill-engine.
    pub kills: usize,
    /// From the declaration.
    pub session: Session,
    /// From the declaration.
    pub restorer: Restorer,
    /// From the declaration.
    pub dump_options: Vec<String>,
    /// From the declaration.
    pub restore_options: Vec<String>,
    /// From the declaration.
    pub dump_fails: Option<String>,
    /// What makes it fail shows only in a stopped task.
    pub unseen: bool,
    /// From the declaration.
    pub restore_fails: Option<String>,
    /// From the declaration.
    pub damage: Vec<Damage>,
    /// Fields of the witness that are not compared.
    pub exempt: Vec<String>,
}

impl Spec {
    /// Reads `spec.json`.
    pub fn read(path: &Path) -> anyhow::Result<Spec> {
        let text = fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The case's scratch directory.
    pub fn scratch(&self) -> PathBuf {
        self.dir.join("scratch")
    }
}

/// How a run ended: `outcome.json` in the run's directory.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Why it failed; none when it passed.
    pub failure: Option<Failure>,
    /// What was done and how long it took, in seconds.
    pub phases: Vec<(String, f64)>,
    /// What was measured, by name: seconds, bytes.
    pub measures: BTreeMap<String, f64>,
}

impl Outcome {
    /// A failure without anything done.
    pub fn failed(failure: Failure) -> Outcome {
        Outcome { failure: Some(failure), ..Outcome::default() }
    }

    /// Reads `outcome.json` of a run's directory; none where the init did not get so far.
    pub fn read(dir: &Path) -> Option<Outcome> {
        serde_json::from_str(&fs::read_to_string(dir.join("outcome.json")).ok()?).ok()
    }

    /// Writes `outcome.json`.
    pub fn write(&self, dir: &Path) -> anyhow::Result<()> {
        fs::write(dir.join("outcome.json"), serde_json::to_vec(self)?).context("failed to write the outcome")
    }
}

/// Why a run failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    /// One line.
    pub what: String,
    /// What differed, what the engine said, stacks.
    pub details: Vec<String>,
}

impl Failure {
    /// A failure of one line.
    pub fn new(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), details: Vec::new() }
    }

    /// A failure with what explains it.
    pub fn with(what: impl Into<String>, details: Vec<String>) -> Failure {
        Failure { what: what.into(), details }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(e: anyhow::Error) -> Self {
        Failure::new(format!("{e:#}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(e: std::io::Error) -> Self {
        Failure::new(e.to_string())
    }
}

/// What a step of a route returns.
pub type Step<T = ()> = Result<T, Failure>;
