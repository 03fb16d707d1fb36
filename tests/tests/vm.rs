//! A machine of QEMU: it boots, runs cases, reports as a native run does; one that dies is a clear failure.
//!
//! These fetch nothing unless `STASIS_QEMU_TEST` is set: without it they run only where everything is in the cache.

use anyhow::Context as _;
use libtest_mimic::{Arguments, Failed, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use stasis_qemu::{Cache, Machine};
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A test with the harness at this path.
type Test = fn(&Path) -> anyhow::Result<()>;

/// Asks for the tests even where they have to fetch.
const VARIABLE: &str = "STASIS_QEMU_TEST";
const ARCH: &str = "x86_64";

fn main() -> ExitCode {
    let args = Arguments::from_args();
    match trials() {
        Ok(trials) => libtest_mimic::run(&args, trials).exit_code(),
        Err(e) => {
            eprintln!("the machines cannot be tested: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn trials() -> anyhow::Result<Vec<Trial>> {
    let harness = stasis_tests::harness()?;
    let cached = Machine::is_cached(&Cache::locate(&stasis_tests::target()?)?, ARCH, None)?;
    let wanted = cached || std::env::var_os(VARIABLE).is_some();
    if !wanted {
        eprintln!("machines are ignored: nothing is fetched by a test; `cargo zdtm vm -- true` or {VARIABLE}=1 does");
    }
    let tests: [(&str, Test); 4] = [
        ("cases_run_in_a_machine", cases_run),
        ("a_command_has_its_status", command_status),
        ("a_panic_is_named", panic_is_named),
        ("ctrl_c_leaves_nothing", ctrl_c),
    ];
    let trial = |(name, test): (&str, Test)| {
        let harness = harness.clone();
        Trial::test(name, move || test(&harness).map_err(Failed::from)).with_ignored_flag(!wanted)
    };
    Ok(tests.into_iter().map(trial).collect())
}

fn cases_run(harness: &Path) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let (json, junit) = (dir.path().join("report.json"), dir.path().join("report.xml"));
    let mut command = Command::new(harness);
    command.args(["run", "--arch", ARCH, "--exact", "--route", "once", "tree/single", "pipes/data", "--json"]);
    let out = command.arg(&json).arg("--junit").arg(&junit).output()?;
    let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    anyhow::ensure!(out.status.success(), "{text}");
    anyhow::ensure!(text.contains("2 passed, 0 failed, 0 skipped\n"), "no summary in: {text}");
    let report: Value = serde_json::from_slice(&fs::read(&json)?)?;
    anyhow::ensure!(report["passed"] == 2 && report["results"].as_array().is_some_and(|r| r.len() == 2), "{report}");
    anyhow::ensure!(fs::read_to_string(&junit)?.contains("tests=\"2\" failures=\"0\""), "the report as XML");
    Ok(())
}

fn command_status(harness: &Path) -> anyhow::Result<()> {
    let out = Command::new(harness).args(["vm", "--", "uname -n; exit 3"]).output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    anyhow::ensure!(out.status.code() == Some(3) && text == "x86_64\n", "{}: {text}", out.status);
    Ok(())
}

fn panic_is_named(harness: &Path) -> anyhow::Result<()> {
    let since = Instant::now();
    let out = Command::new(harness).args(["vm", "--prebuilt", "--", "echo c > /proc/sysrq-trigger"]).output()?;
    let text = String::from_utf8_lossy(&out.stderr);
    anyhow::ensure!(out.status.code() == Some(1), "{}: {text}", out.status);
    anyhow::ensure!(text.contains("the machine died") && text.contains("Kernel panic"), "{text}");
    anyhow::ensure!(since.elapsed() < Duration::from_secs(120), "it took {:?}", since.elapsed());
    Ok(())
}

fn ctrl_c(harness: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(harness);
    command.args(["vm", "--prebuilt", "--", "echo up; sleep 1000"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let run = stasis_tests::target()?.join(format!("zdtm/run-{}", child.id()));
    let mut out = child.stdout.take().context("it has an output")?;
    std::io::Read::read_exact(&mut out, &mut [0; 3]).context("the machine did not come up")?;
    anyhow::ensure!(processes_with(&run)? > 0, "QEMU is not found");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT)?;
    let status = child.wait()?;
    anyhow::ensure!(status.code() == Some(130), "the exit status is {status}");
    anyhow::ensure!(!run.exists(), "{} is left", run.display());
    let until = Instant::now() + Duration::from_secs(5);
    while processes_with(&run)? > 0 {
        anyhow::ensure!(Instant::now() < until, "QEMU is left");
        sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// How many processes have the path in their command line.
fn processes_with(path: &Path) -> anyhow::Result<usize> {
    let path = path.to_str().context("a path of text")?;
    let lines = fs::read_dir("/proc")?.flatten().map(|e| fs::read(e.path().join("cmdline")).unwrap_or_default());
    Ok(lines.filter(|line| String::from_utf8_lossy(line).contains(path)).count())
}
