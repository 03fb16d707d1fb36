//! The engine under test as a program.

use anyhow::{Context as _, ensure};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The engine under test: `STASIS_ENGINE`, or the one that belongs to this build, made anew when cargo runs us.
///
/// # Errors
/// It does not build.
pub fn path() -> anyhow::Result<&'static Path> {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = PATH.get() {
        return Ok(path);
    }
    let path = match std::env::var_os("STASIS_ENGINE") {
        Some(path) => path.into(),
        None => build()?,
    };
    Ok(PATH.get_or_init(|| path))
}

fn build() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let profile = own.parent().and_then(Path::parent).context("the test is in no target directory")?;
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "stasis", "--bin", "stasis", "--target-dir"]);
        build.arg(profile.parent().context("the test is in no target directory")?);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        ensure!(build.status()?.success(), "the engine does not build");
    }
    Ok(profile.join("stasis"))
}

/// The engine with these arguments.
///
/// # Errors
/// There is no engine.
pub fn command(arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(path()?);
    command.arg("--no-default-config").args(arguments).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

/// Runs the engine to its end.
///
/// # Errors
/// It cannot be started.
pub fn run(arguments: &[&str]) -> anyhow::Result<Output> {
    command(arguments)?.output().context("failed to start the engine")
}

/// Runs the engine, which must succeed.
///
/// # Errors
/// It fails: with its words.
pub fn succeed(arguments: &[&str]) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let output = run(arguments)?;
    ensure!(output.status.success(), "{arguments:?}: {}: {}", output.status, said(&output));
    Ok(started.elapsed())
}

/// What the engine said.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// Starts the engine.
///
/// # Errors
/// It cannot be started.
pub fn start(arguments: &[&str]) -> anyhow::Result<Child> {
    command(arguments)?.spawn().context("failed to start the engine")
}

/// Why the tests of the engine cannot run here, if so.
pub fn lacking() -> Option<&'static str> {
    (!nix::unistd::geteuid().is_root()).then_some("needs root")
}

/// A small generator of random numbers (xorshift64*): the same seed gives the same instants.
pub struct Random(u64);

impl Random {
    /// Starts from `STASIS_SEED`, or from the time.
    pub fn new(name: &str) -> Random {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64);
        let seed = std::env::var("STASIS_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(now);
        println!("{name}: STASIS_SEED={seed}");
        Random(seed | 1)
    }

    /// A number from 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A number from the environment, for longer runs by hand.
pub fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
