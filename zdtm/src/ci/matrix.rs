//! `ci/matrix.yaml`: what runs where and when.

use crate::cli::Flavour;
use crate::route::Route;
use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The file, from the project's root.
pub const FILE: &str = "ci/matrix.yaml";

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// Parts of cases' names, by the selection's name.
    pub selections: BTreeMap<String, Vec<String>>,
    /// Where cases run.
    pub machines: Vec<Machine>,
    /// What runs when, by the plan's name.
    pub plans: BTreeMap<String, Plan>,
}

/// Where cases run: this machine, or one of QEMU.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Its name in reports and on the command line.
    pub name: String,
    /// The CPU of a machine of QEMU; absent for this machine.
    pub arch: Option<String>,
    /// The kernel of a machine of QEMU.
    pub kernel: Option<String>,
}

/// What runs at an occasion.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// How long one machine may take.
    pub minutes: u32,
    /// One after the other.
    pub runs: Vec<Run>,
}

/// Cases, how, and on which machines.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The machines' names; all of them where none is named.
    #[serde(default)]
    pub machines: Vec<String>,
    /// A selection's name.
    pub cases: String,
    /// In which surroundings.
    pub flavours: Vec<Flavour>,
    /// By which routes.
    pub routes: Vec<Route>,
}

/// What one machine does in a plan.
#[derive(Debug)]
pub struct Job<'m> {
    /// Where.
    pub machine: &'m Machine,
    /// What.
    pub runs: Vec<&'m Run>,
}

impl<'m> Job<'m> {
    fn of(machine: &'m Machine, runs: &'m [Run]) -> Job<'m> {
        let mine = |run: &&Run| run.machines.is_empty() || run.machines.contains(&machine.name);
        Job { machine, runs: runs.iter().filter(mine).collect() }
    }
}

impl Matrix {
    /// Reads the file of the project at `root`.
    ///
    /// # Errors
    /// It cannot be read, is no matrix, or names something that it does not define.
    pub fn load(root: &Path) -> anyhow::Result<Matrix> {
        let path = root.join(FILE);
        let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        Matrix::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> anyhow::Result<Matrix> {
        let matrix: Matrix = serde_yaml::from_str(text)?;
        let names: BTreeSet<&str> = matrix.machines.iter().map(|m| m.name.as_str()).collect();
        ensure!(names.len() == matrix.machines.len(), "two machines have the same name");
        for machine in &matrix.machines {
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            ensure!(machine.name.chars().all(plain), "the name of machine `{}` is not plain", machine.name);
            ensure!(machine.arch.is_some() || machine.kernel.is_none(), "{} has a kernel and no CPU", machine.name);
        }
        for (plan, run) in matrix.plans.iter().flat_map(|(name, plan)| plan.runs.iter().map(move |run| (name, run))) {
            ensure!(matrix.selections.contains_key(&run.cases), "plan {plan}: `{}` is no selection", run.cases);
            let unknown = run.machines.iter().find(|name| !names.contains(name.as_str()));
            ensure!(unknown.is_none(), "plan {plan}: `{}` is no machine", unknown.map_or("", String::as_str));
            ensure!(!run.flavours.is_empty() && !run.routes.is_empty(), "plan {plan}: a run without flavour or route");
        }
        Ok(matrix)
    }

    /// The plan of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn plan(&self, name: &str) -> anyhow::Result<&Plan> {
        self.plans.get(name).with_context(|| format!("{FILE} has no plan `{name}`"))
    }

    /// The jobs of a plan, those named or all that have something to do.
    ///
    /// # Errors
    /// A name is no machine's, or it has nothing to do in this plan.
    pub fn jobs(&self, plan: &str, named: &[String]) -> anyhow::Result<Vec<Job<'_>>> {
        let runs = &self.plan(plan)?.runs;
        if named.is_empty() {
            let jobs = self.machines.iter().map(|machine| Job::of(machine, runs));
            return Ok(jobs.filter(|job| !job.runs.is_empty()).collect());
        }
        let find = |name: &String| {
            let Some(machine) = self.machines.iter().find(|m| m.name == *name) else {
                let all: Vec<&str> = self.machines.iter().map(|m| m.name.as_str()).collect();
                bail!("`{name}` is no job; jobs are {}", all.join(", "));
            };
            let job = Job::of(machine, runs);
            ensure!(!job.runs.is_empty(), "`{name}` has nothing to do in the plan `{plan}`");
            Ok(job)
        };
        named.iter().map(find).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Matrix {
        Matrix::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).expect("the project's matrix")
    }

    #[test]
    fn every_machine_has_a_job_at_every_push_and_each_night() {
        let matrix = own();
        for plan in ["push", "nightly"] {
            let jobs = matrix.jobs(plan, &[]).expect("jobs");
            assert_eq!(jobs.len(), matrix.machines.len(), "{plan}");
        }
        let native = matrix.jobs("push", &["native".to_owned()]).expect("a job");
        assert!(native.len() == 1 && native[0].machine.arch.is_none());
    }

    #[test]
    fn what_is_not_defined_is_an_error_that_names_it() {
        let matrix = own();
        let error = matrix.jobs("push", &["vax".to_owned()]).expect_err("no such job").to_string();
        assert!(error.contains("`vax`") && error.contains("native"), "{error}");
        assert!(matrix.jobs("weekly", &[]).is_err());
        let text = |cases: &str, machine: &str, route: &str| {
            format!(
                "selections: {{s: []}}\nmachines: [{{name: m}}]\nplans: {{p: {{minutes: 1, runs: [{{machines: \
                 [{machine}], cases: {cases}, flavours: [host], routes: [{route}]}}]}}}}"
            )
        };
        assert!(Matrix::parse(&text("s", "m", "once")).is_ok());
        for (cases, machine, route) in [("t", "m", "once"), ("s", "n", "once"), ("s", "m", "flight")] {
            assert!(Matrix::parse(&text(cases, machine, route)).is_err(), "{cases} {machine} {route}");
        }
    }
}
