//! `cargo zdtm run --arch … --kernel …`: the cases run in a machine, their results are shown and written as natively.

use super::{Cancel, Lab, RunDir, TARGET};
use crate::cli::RunArgs;
use crate::event::{Event, Start};
use crate::report::{CaseResult, Screen, Status, Summary};
use crate::route::Route;
use anyhow::{Context as _, bail};
use clap::ValueEnum as _;
use stasis_qemu::guest::Task;
use stasis_qemu::{Ended, Frame, Vm};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// For what comes between two results: starting and ending cells, on a machine that is slow.
const SLACK: Duration = Duration::from_secs(60);

/// Runs the cases in a machine and reports; the exit status says whether all passed.
pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let arch = args.arch.as_deref().unwrap_or("x86_64");
    let engine = args.route != [Route::None];
    let lab = Lab::prepare(arch, args.kernel.as_deref(), args.prebuilt, engine)?;
    let cancel = Cancel::listen()?;
    let dir = RunDir::make(&lab.paths)?;
    let failures = lab.failures();
    if failures.exists() {
        fs::remove_dir_all(&failures).with_context(|| format!("failed to remove {}", failures.display()))?;
    }
    let kept = Path::new(TARGET).join("zdtm/failures");
    let arguments = arguments(args, lab.machine.recipe.slowness);
    let initrd = lab.write_initrd(Task::Run { arguments, kept: kept.clone() }, &dir.0)?;
    let since = Instant::now();
    println!("booting {} with Linux {}", arch, lab.machine.release());
    let mut watch = Watch { kept, failures, start: None, screen: None, results: Vec::new() };
    let ended = lab.machine.boot(&initrd, &dir.0, |stopper| cancel.started(stopper)).and_then(|mut vm| {
        println!("user space after {:.1} s", since.elapsed().as_secs_f64());
        watch.watch(&mut vm)
    });
    if cancel.cancelled() {
        return Ok(ExitCode::from(130));
    }
    let complete = watch.close(args, since.elapsed())?;
    ended.map_err(|e| lab.keep_console(&dir.0, e))?;
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The harness's command line in the machine.
fn arguments(args: &RunArgs, slowness: f64) -> Vec<String> {
    let mut all: Vec<String> =
        [&format!("{TARGET}/release/zdtm"), "run", "--prebuilt", "--events"].map(str::to_owned).into();
    let mut option = |name: &str, value: String| all.extend([name.to_owned(), value]);
    option("--jobs", args.jobs.to_string());
    option("--repeat", args.repeat.to_string());
    option("--kills", args.kills.to_string());
    option("--patience", (args.patience * slowness).to_string());
    if let Some(seed) = args.seed {
        option("--seed", seed.to_string());
    }
    for flavour in &args.flavour {
        option("--flavour", flavour.name().to_owned());
    }
    for route in &args.route {
        option("--route", route.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned()));
    }
    let flags = [("--exact", args.exact), ("--keep", args.keep)];
    all.extend(flags.iter().filter(|(_, set)| *set).map(|(name, _)| (*name).to_owned()));
    all.push("--".to_owned());
    all.extend(args.filters.iter().cloned());
    all
}

/// What came from a machine so far.
struct Watch {
    /// Where failures are kept in the machine.
    kept: PathBuf,
    /// And here.
    failures: PathBuf,
    start: Option<Start>,
    screen: Option<Screen>,
    results: Vec<CaseResult>,
}

impl Watch {
    /// Takes frames until the machine's end; an error where it did not end as it should.
    fn watch(&mut self, vm: &mut Vm) -> anyhow::Result<()> {
        loop {
            let longest = self.start.as_ref().map_or(Duration::ZERO, |s| Duration::from_secs_f64(s.longest));
            match vm.next(longest + SLACK) {
                Ok(Frame::Line(line)) => self.event(&line)?,
                Ok(Frame::File(path, data)) => self.file(&path, &data)?,
                Ok(Frame::Hello(_)) => {}
                Ok(Frame::Error(what)) => return Err(vm.explain(&format!("in the machine: {what}"))),
                Ok(Frame::End(_)) if self.start.as_ref().is_some_and(|s| s.total == self.results.len()) => {
                    return Ok(());
                }
                Ok(Frame::End(code)) => {
                    return Err(vm.explain(&format!("the harness in the machine ended early with status {code}")));
                }
                Err(ended) => return Err(vm.explain(&format!("the machine {}: {ended}", verb(&ended)))),
            }
        }
    }

    fn event(&mut self, line: &str) -> anyhow::Result<()> {
        match serde_json::from_str(line).with_context(|| format!("the harness in the machine said `{line}`"))? {
            Event::Start(start) => {
                println!("seed {}", start.seed);
                self.screen = Some(Screen::new(start.total));
                self.start = Some(start);
            }
            Event::Result(mut result) => {
                if let Status::Fail { kept: Some(kept), .. } = &mut result.status
                    && let Ok(inside) = kept.strip_prefix(&self.kept)
                {
                    *kept = self.failures.join(inside);
                }
                if let Some(screen) = &mut self.screen {
                    screen.show(&result);
                }
                self.results.push(*result);
            }
        }
        Ok(())
    }

    fn file(&self, path: &str, data: &[u8]) -> anyhow::Result<()> {
        if !Path::new(path).components().all(|c| matches!(c, Component::Normal(_))) {
            bail!("the machine sent a file `{path}`");
        }
        let to = self.failures.join(path);
        fs::create_dir_all(to.parent().context("a file has a directory")?)?;
        fs::write(&to, data).with_context(|| format!("failed to write {}", to.display()))
    }

    /// Shows and writes the report of what came; whether everything passed.
    fn close(&mut self, args: &RunArgs, time: Duration) -> anyhow::Result<bool> {
        let Some(start) = &self.start else { return Ok(false) };
        let results = std::mem::take(&mut self.results);
        let all = results.len() == start.total;
        let summary = Summary::new(start.engine.clone(), start.seed, results, time);
        if let Some(screen) = &self.screen {
            screen.close(&summary);
        }
        summary.write(args.json.as_deref(), args.junit.as_deref())?;
        Ok(all && summary.failed == 0)
    }
}

fn verb(ended: &Ended) -> &'static str {
    match ended {
        Ended::Silent(_) => "hangs",
        Ended::Gone(_) => "died",
    }
}
