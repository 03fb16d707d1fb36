//! `cargo zdtm list`, and the list of cases for the other commands.

use crate::build::Paths;
use crate::cli::ListArgs;
use crate::declare::{Case, parse_list};
use anyhow::{Context as _, bail};
use std::process::{Command, ExitCode};

/// The area of the benchmarks' shapes: not part of the suite unless a filter names it.
pub const HIDDEN: &str = "bench/";

/// All cases that the binary holds, in the order of their names.
pub fn cases(paths: &Paths) -> anyhow::Result<Vec<Case>> {
    let out = Command::new(&paths.cases).arg("--list").output().context("failed to start the cases' binary")?;
    if !out.status.success() {
        bail!("{} --list failed", paths.cases.display());
    }
    parse_list(&String::from_utf8_lossy(&out.stdout))
}

/// The cases that the filters choose: any of them, by a part of the name or the whole of it.
pub fn select(all: Vec<Case>, filters: &[String], exact: bool) -> Vec<Case> {
    let chosen = |name: &str| match filters {
        [] => !name.starts_with(HIDDEN),
        _ if exact => filters.iter().any(|f| f == name),
        _ => filters.iter().any(|f| name.contains(f.as_str()) && (f.starts_with("bench") || !name.starts_with(HIDDEN))),
    };
    all.into_iter().filter(|case| chosen(&case.name)).collect()
}

/// What the machine lacks for a case, in words.
pub fn missing(case: &Case) -> Option<String> {
    let all: Vec<String> = case.declaration.needs.iter().filter_map(|need| need.missing()).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// Prints the cases.
pub fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let paths = Paths::locate(None)?;
    if !args.prebuilt {
        paths.build(false)?;
    }
    let chosen = select(cases(&paths)?, &args.filters, false);
    if args.json {
        let all: Vec<_> = chosen.iter().map(as_json).collect();
        println!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(ExitCode::SUCCESS);
    }
    let width = chosen.iter().map(|c| c.name.len()).max().unwrap_or(0);
    for case in &chosen {
        let lack = missing(case).map(|m| format!(" [{m}]")).unwrap_or_default();
        println!("{:width$}  {}{lack}", case.name, case.about);
    }
    println!("{} cases", chosen.len());
    Ok(ExitCode::SUCCESS)
}

fn as_json(case: &Case) -> serde_json::Value {
    serde_json::json!({
        "name": case.name,
        "about": case.about,
        "routes": case.declaration.routes.iter().map(|r| r.name()).collect::<Vec<_>>(),
        "flavours": case.declaration.flavours.iter().map(|f| f.name()).collect::<Vec<_>>(),
        "missing": missing(case),
    })
}
