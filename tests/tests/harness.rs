//! The harness itself: engines that do nothing, or the wrong thing, fail a case; Ctrl-C leaves nothing behind.

use anyhow::Context as _;
use libtest_mimic::{Arguments, Failed, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A test of the harness at this path.
type Test = fn(&Path) -> anyhow::Result<()>;

/// The case that most tests run.
const CASE: &str = "tree/single";

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let harness = match stasis_tests::harness() {
        Ok(path) => path,
        Err(e) => {
            eprintln!("the harness cannot be tested: {e:#}");
            return ExitCode::FAILURE;
        }
    };
    let root = nix::unistd::geteuid().is_root();
    let tests: [(&str, Test); 8] = [
        ("an_engine_that_does_nothing", does_nothing),
        ("an_engine_that_only_kills", only_kills),
        ("an_engine_that_fails", fails),
        ("an_engine_that_foresees_what_is_not_so", foresees_wrongly),
        ("an_engine_that_leaves_a_process", leaves_a_process),
        ("an_engine_that_stops_the_tree", stops_the_tree),
        ("an_engine_with_a_low_limit_of_descriptors", few_descriptors),
        ("ctrl_c_leaves_nothing", ctrl_c),
    ];
    let mut trials: Vec<Trial> = tests
        .into_iter()
        .map(|(name, test)| {
            let harness = harness.clone();
            Trial::test(name, move || test(&harness).map_err(Failed::from)).with_ignored_flag(!root)
        })
        .collect();
    trials.push(Trial::test("without_root_it_says_what_to_type", move || without_root(&harness).map_err(Failed::from)));
    libtest_mimic::run(&args, trials).exit_code()
}

/// A shell script as the engine, in a directory of its own. `$pid` is the tree's root, `$verb` the command.
fn engine(script: &str) -> anyhow::Result<(tempfile::TempDir, PathBuf)> {
    let dir = tempfile::tempdir_in(stasis_tests::target()?)?;
    let path = dir.path().join("engine");
    let head = "#!/bin/sh\nverb=$1\nfor word; do test \"$before\" = -t && pid=$word; before=$word; done\n";
    fs::write(&path, format!("{head}{script}\n"))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok((dir, path))
}

fn start(harness: &Path, engine: &Path, route: &str, case: &str) -> anyhow::Result<Child> {
    let mut command = Command::new(harness);
    command.args(["run", "--prebuilt", "--exact", "--route", route, "--engine"]).arg(engine).arg(case);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command.spawn()?)
}

/// Runs a script as the engine by a route; the case must fail and the report say so.
fn must_fail(harness: &Path, script: &str, route: &str, report: &str) -> anyhow::Result<()> {
    let (_dir, engine) = engine(script)?;
    let out = start(harness, &engine, route, CASE)?.wait_with_output()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    anyhow::ensure!(out.status.code() == Some(1), "the exit status is {}:\n{text}", out.status);
    anyhow::ensure!(text.contains(report), "no `{report}` in:\n{text}");
    anyhow::ensure!(text.ends_with("0 passed, 1 failed, 0 skipped\n"), "the last line of:\n{text}");
    nothing_left(&engine)
}

fn does_nothing(harness: &Path) -> anyhow::Result<()> {
    must_fail(harness, "exit 0", "once", "processes are left after the dump")
}

fn foresees_wrongly(harness: &Path) -> anyhow::Result<()> {
    must_fail(harness, "exit 1", "once", "`check -t` found what the dump does not refuse")
}

fn only_kills(harness: &Path) -> anyhow::Result<()> {
    must_fail(harness, "test $verb = dump && kill -9 $pid; exit 0", "once", "the restore left no process")
}

fn fails(harness: &Path) -> anyhow::Result<()> {
    must_fail(harness, "echo 'Error (test): no luck'; exit 1", "thrice", "engine: Error (test): no luck")
}

fn leaves_a_process(harness: &Path) -> anyhow::Result<()> {
    must_fail(harness, "sleep 1000 & exit 0", "leave-running", "processes are left after the dump")
}

fn stops_the_tree(harness: &Path) -> anyhow::Result<()> {
    must_fail(harness, "kill -STOP $pid; exit 0", "leave-running", "state runs → stopped")
}

/// A shell gives its programs a low soft limit; what a tree has open is more than that.
fn few_descriptors(harness: &Path) -> anyhow::Result<()> {
    let (_dir, engine) = engine(&format!("ulimit -S -n 64; exec {} \"$@\"", stasis_tests::engine::path()?.display()))?;
    let out = start(harness, &engine, "once", "files/many_files")?.wait_with_output()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    anyhow::ensure!(text.ends_with("1 passed, 0 failed, 0 skipped\n"), "the last line of:\n{text}");
    nothing_left(&engine)
}

fn ctrl_c(harness: &Path) -> anyhow::Result<()> {
    let (_dir, engine) = engine("test $verb = check || exec sleep 1000")?;
    let mut child = start(harness, &engine, "once", CASE)?;
    let run = stasis_tests::target()?.join(format!("zdtm/run-{}", child.id()));
    let until = Instant::now() + Duration::from_secs(20);
    while !run.join("tree-single.once/img-1/dump.out").exists() {
        anyhow::ensure!(Instant::now() < until && child.try_wait()?.is_none(), "the engine was not started");
        sleep(Duration::from_millis(10));
    }
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT)?;
    let status = child.wait()?;
    anyhow::ensure!(status.code() == Some(130), "the exit status is {status}");
    anyhow::ensure!(!run.exists(), "{} is left", run.display());
    nothing_left(&run)
}

/// No process may have the path in its command line.
fn nothing_left(path: &Path) -> anyhow::Result<()> {
    let path = path.to_str().context("a path of text")?;
    for entry in fs::read_dir("/proc")?.flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        anyhow::ensure!(!line.contains(path), "process {:?} is left: {line}", entry.file_name());
    }
    Ok(())
}

fn without_root(harness: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(harness);
    command.args(["run", "--prebuilt"]).stdin(Stdio::null());
    if nix::unistd::geteuid().is_root() {
        use std::os::unix::process::CommandExt as _;
        command.uid(65534);
    }
    let out = command.output();
    // Where the tests lie in a directory of root's, nobody may not even start the harness.
    let Ok(out) = out else { return Ok(()) };
    let text = String::from_utf8_lossy(&out.stderr);
    anyhow::ensure!(out.status.code() == Some(1), "the exit status is {}", out.status);
    anyhow::ensure!(text.contains("sudo -E env \"PATH=$PATH\" cargo zdtm run"), "it says: {text}");
    Ok(())
}
