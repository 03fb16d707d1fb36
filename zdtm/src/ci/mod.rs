//! `cargo zdtm ci`: the matrix of machines, kernels, flavours and routes, and one page of what came of it.

mod matrix;
mod page;
mod record;
mod workflow;

use crate::build::Paths;
use crate::cli::CiArgs;
use anyhow::Context as _;
use matrix::{Job, Matrix};
use record::Record;
use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Lines that are kept of a run that did not come to its end.
const LAST_LINES: usize = 60;

/// Runs jobs of the matrix, or shows what it is.
///
/// # Errors
/// The matrix is wrong, or a report cannot be written.
pub fn run(args: &CiArgs) -> anyhow::Result<ExitCode> {
    let paths = Paths::locate(None)?;
    if let Some(dir) = &args.merge {
        let records = Record::all(dir)?;
        return finish(&records, args.report.as_deref().unwrap_or(&paths.target.join("zdtm/report.html")));
    }
    let matrix = Matrix::load(&paths.root)?;
    if args.workflow {
        print!("{}", workflow::text(&matrix)?);
        return Ok(ExitCode::SUCCESS);
    }
    let plan = matrix.plan(&args.plan)?;
    let jobs = matrix.jobs(&args.plan, &args.job)?;
    if args.list {
        jobs.iter().for_each(list);
        return Ok(ExitCode::SUCCESS);
    }
    let dir = paths.target.join("zdtm/ci");
    if args.job.is_empty() && dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("failed to empty {}", dir.display()))?;
    }
    let limit = Duration::from_secs(u64::from(plan.minutes) * 60);
    let mut records = Vec::new();
    for job in &jobs {
        println!("==> {}, plan {}", job.machine.name, args.plan);
        let record = work(&matrix, job, &args.plan, limit, &dir)?;
        record.write(&dir)?;
        records.push(record);
    }
    finish(&records, args.report.as_deref().unwrap_or(&paths.target.join("zdtm/report.html")))
}

fn list(job: &Job<'_>) {
    for run in &job.runs {
        let flavours: Vec<&str> = run.flavours.iter().map(|f| f.name()).collect();
        let routes: Vec<&str> = run.routes.iter().map(|r| r.name()).collect();
        println!("{:<16} {:<8} {:<8} {}", job.machine.name, run.cases, flavours.join(","), routes.join(","));
    }
}

/// Writes the page and says how it went.
fn finish(records: &[Record], report: &Path) -> anyhow::Result<ExitCode> {
    if let Some(dir) = report.parent() {
        fs::create_dir_all(dir).with_context(|| format!("failed to make {}", dir.display()))?;
    }
    let text = page::page(records, "Stasis: the matrix")?;
    fs::write(report, text).with_context(|| format!("failed to write {}", report.display()))?;
    println!();
    let mut sum = [0; 3];
    for record in records {
        let counts = record.counts();
        (0..3).for_each(|i| sum[i] += counts[i]);
        let [passed, failed, skipped] = counts;
        let end = if record.broken.is_some() { ", DID NOT COME TO ITS END" } else { "" };
        let (name, seconds) = (&record.machine, record.seconds);
        println!("{name:<16} {passed} passed, {failed} failed, {skipped} skipped, {seconds:.0} s{end}");
    }
    println!("report {}", report.display());
    let [passed, failed, skipped] = sum;
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(if records.iter().all(Record::is_good) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Does the runs of a job, each as a harness of its own.
fn work(matrix: &Matrix, job: &Job<'_>, plan: &str, limit: Duration, dir: &Path) -> anyhow::Result<Record> {
    let since = Instant::now();
    let machine = &job.machine;
    let mut record = Record {
        machine: machine.name.clone(),
        plan: plan.to_owned(),
        seconds: 0.0,
        broken: None,
        results: Vec::new(),
    };
    fs::create_dir_all(dir).with_context(|| format!("failed to make {}", dir.display()))?;
    for (number, run) in job.runs.iter().enumerate() {
        let report = dir.join(format!("{}.run-{number}", machine.name));
        let _ = fs::remove_file(&report);
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("run").args(matrix.selections.get(&run.cases).into_iter().flatten());
        command.args(run.flavours.iter().flat_map(|flavour| ["--flavour", flavour.name()]));
        command.args(run.routes.iter().flat_map(|route| ["--route", route.name()]));
        command.args(machine.arch.iter().flat_map(|arch| ["--arch", arch]));
        command.args(machine.kernel.iter().flat_map(|kernel| ["--kernel", kernel]));
        command.arg("--json").arg(&report);
        let (end, lines) = watch(&mut command, limit.saturating_sub(since.elapsed()))?;
        match record::results(&report) {
            Ok(results) => record.results.extend(results),
            Err(_) => record.broken = Some(format!("{end}\n\n{lines}")),
        }
        let _ = fs::remove_file(&report);
    }
    record.seconds = since.elapsed().as_secs_f64();
    // A run without a result proves nothing.
    if record.broken.is_none() && record.results.is_empty() {
        record.broken = Some("no case was run".to_owned());
    }
    Ok(record)
}

/// Runs a command, passing its output on: how it ended, and its last lines.
fn watch(command: &mut Command, limit: Duration) -> anyhow::Result<(String, String)> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("failed to start a run")?;
    let stdout = child.stdout.take().context("a run without output")?;
    let reader = std::thread::spawn(move || {
        let mut last = VecDeque::new();
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let mut out = std::io::stdout().lock();
            let _ = writeln!(out, "{line}");
            if last.len() == LAST_LINES {
                last.pop_front();
            }
            last.push_back(line);
        }
        last
    });
    let end = wait(&mut child, limit)?;
    let last = reader.join().unwrap_or_default();
    Ok((end, last.into_iter().collect::<Vec<_>>().join("\n")))
}

/// Waits for a run. One that takes too long is interrupted, as by Ctrl-C, so that it takes away what it made.
fn wait(child: &mut Child, limit: Duration) -> anyhow::Result<String> {
    const GRACE: Duration = Duration::from_secs(30);
    let since = Instant::now();
    let mut interrupted = false;
    loop {
        if let Some(status) = child.try_wait()? {
            let late = if interrupted { format!(" after its {} s were over", limit.as_secs()) } else { String::new() };
            return Ok(format!("the run ended with {status}{late}"));
        }
        if since.elapsed() > limit && !interrupted {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id())?);
            nix::sys::signal::kill(pid, nix::sys::signal::SIGINT)?;
            interrupted = true;
        }
        if since.elapsed() > limit + GRACE {
            child.kill()?;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
