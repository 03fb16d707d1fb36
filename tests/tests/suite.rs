//! The suite under `cargo test`: one test for each case and route, run as `cargo zdtm run` runs it.
//!
//! Without root the tests are ignored, and so are cases for which the machine lacks something; the reason is printed.

use anyhow::{Context as _, bail};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

fn main() -> ExitCode {
    let args = Arguments::from_args();
    match trials() {
        Ok(trials) => libtest_mimic::run(&args, trials).exit_code(),
        Err(e) => {
            eprintln!("the suite cannot run: {e:#}");
            ExitCode::FAILURE
        }
    }
}

/// Builds everything and makes a test of each case and route.
fn trials() -> anyhow::Result<Vec<Trial>> {
    let harness = stasis_tests::harness()?;
    let out = Command::new(&harness).args(["list", "--json", "--prebuilt"]).output().context("failed to list cases")?;
    if !out.status.success() {
        bail!("the cases cannot be listed: {}", String::from_utf8_lossy(&out.stderr).trim());
    }
    let cases: Vec<Value> = serde_json::from_slice(&out.stdout)?;
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("the suite is ignored: dumping and restoring processes takes root");
    }
    let mut trials = Vec::new();
    for case in &cases {
        let name = case["name"].as_str().context("a case has no name")?;
        let missing = case["missing"].as_str();
        if let (true, Some(missing)) = (root, missing) {
            eprintln!("{name} is ignored: {missing}");
        }
        for route in case["routes"].as_array().context("a case has no routes")? {
            let route = route.as_str().context("a route has no name")?;
            trials.push(trial(&harness, name, route).with_ignored_flag(!root || missing.is_some()));
        }
    }
    Ok(trials)
}

fn trial(harness: &Path, name: &str, route: &str) -> Trial {
    let (harness, case, by) = (harness.to_owned(), name.to_owned(), route.to_owned());
    Trial::test(format!("{name}::{route}"), move || run(&harness, &case, &by))
}

/// Runs a case. One that fails is run once more and must pass then: many cases are about time, and the machine of a
/// test run is busy with others. What needed the second try is printed.
fn run(harness: &Path, case: &str, route: &str) -> Result<(), Failed> {
    let args = ["run", "--prebuilt", "--exact", "--jobs", "1", "--route", route, case];
    let mut first = None;
    for _ in 0..2 {
        let out = Command::new(harness).args(args).stdin(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        if out.status.success() {
            if let Some(first) = first {
                eprintln!("{case} on route {route} passed only at the second try; the first one:\n{first}");
            }
            return Ok(());
        }
        first.get_or_insert(text);
    }
    Err(first.unwrap_or_default().into())
}
