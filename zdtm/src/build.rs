//! Where the binaries are, and how they are built.

use anyhow::{Context as _, bail};
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What this program was built for.
const TRIPLE: &str = env!("ZDTM_TRIPLE");

/// The paths of a run.
pub struct Paths {
    /// The workspace.
    pub root: PathBuf,
    /// Cargo's target directory.
    pub target: PathBuf,
    /// The engine.
    pub engine: PathBuf,
    /// The cases' binary.
    pub cases: PathBuf,
}

impl Paths {
    /// Finds the paths: the target directory is the one this program lies in. `engine` overrides the engine built
    /// here; a bare name is looked up in PATH.
    pub fn locate(engine: Option<&Path>) -> anyhow::Result<Paths> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace has no directory")?;
        let me = env::current_exe().context("failed to find this program")?;
        let target = me.ancestors().nth(2).context("this program lies in no target directory")?.to_owned();
        let engine = match engine {
            Some(path) => find_program(path)?,
            None => target.join("release/stasis"),
        };
        let cases = target.join(TRIPLE).join("release/zdtm-cases");
        Ok(Paths { root: root.to_owned(), target, engine, cases })
    }

    /// Where runs live and failures are kept.
    pub fn runs(&self) -> PathBuf {
        self.target.join("zdtm")
    }

    /// Builds the cases and, where it is ours, the engine.
    pub fn build(&self, engine: bool) -> anyhow::Result<()> {
        if engine {
            self.cargo(&["-p", "stasis"], &mut Command::new(cargo()))?;
        }
        // Static, so that a case runs in any root. A RUSTFLAGS of the caller would win over the triple's own flags.
        let mut flags = env::var_os("RUSTFLAGS").unwrap_or_default();
        flags.push(" -C target-feature=+crt-static");
        let name = format!("CARGO_TARGET_{}_RUSTFLAGS", TRIPLE.to_uppercase().replace('-', "_"));
        let mut command = Command::new(cargo());
        command.env(name, flags).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        self.cargo(&["-p", "zdtm-cases", "--target", TRIPLE], &mut command)
    }

    /// Fails unless the binaries are there.
    pub fn check(&self, engine: bool) -> anyhow::Result<()> {
        for path in [Some(&self.cases), engine.then_some(&self.engine)].into_iter().flatten() {
            if !path.is_file() {
                bail!("there is no {}; run without --prebuilt", path.display());
            }
        }
        Ok(())
    }

    fn cargo(&self, args: &[&str], command: &mut Command) -> anyhow::Result<()> {
        command.args(["build", "--release", "--quiet", "--target-dir"]).arg(&self.target).args(args);
        let status = command.current_dir(&self.root).status().context("failed to start cargo")?;
        if !status.success() {
            bail!("cargo build {} failed", args.join(" "));
        }
        Ok(())
    }
}

fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// A program as a shell would find it: a bare name in PATH, else the path itself.
pub fn find_program(path: &Path) -> anyhow::Result<PathBuf> {
    if path.components().count() > 1 || path.is_absolute() {
        return path.canonicalize().with_context(|| format!("failed to find {}", path.display()));
    }
    let all = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&all)
        .map(|dir| dir.join(path))
        .find(|p| p.is_file() && nix::unistd::access(p, nix::unistd::AccessFlags::X_OK).is_ok())
        .with_context(|| format!("no program {} in PATH", path.display()))
}
