//! The recipes of the machines, `qemu/machines/NAME.yaml`: what QEMU emulates, which packages belong to it.

use anyhow::{Context as _, bail};
use serde::Deserialize;
use std::time::Duration;

/// The recipes by their names, as they were when this program was built.
const TEXTS: [(&str, &str); 4] = [
    ("aarch64", include_str!("../machines/aarch64.yaml")),
    ("ppc64le", include_str!("../machines/ppc64le.yaml")),
    ("s390x", include_str!("../machines/s390x.yaml")),
    ("x86_64", include_str!("../machines/x86_64.yaml")),
];

/// A machine and what runs on it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// As on the command line.
    pub name: String,
    /// Rust's target triple.
    pub target: String,
    /// The prefix of the cross compiler and the binutils.
    pub gnu: String,
    /// Debian's name of the architecture.
    pub debian: String,
    /// What is emulated.
    pub qemu: Emulated,
    /// How many CPUs.
    pub cpus: usize,
    /// MiB.
    pub memory: usize,
    /// By what the time limits of cases are multiplied.
    pub slowness: f64,
    /// How long the machine takes to boot.
    pub boot: Boot,
    /// The kernels; the first is the default.
    pub kernels: Vec<Kernel>,
    /// Modules to load, in this order; those that a kernel has built in or lacks are left out.
    pub modules: Vec<String>,
}

/// QEMU's side of a machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emulated {
    /// QEMU's program.
    pub program: String,
    /// The Debian package that has it.
    pub package: String,
    /// Arguments: the machine and its CPU.
    pub machine: Vec<String>,
    /// Arguments that connect the character device `console`.
    pub serial: Vec<String>,
    /// The kernel's name of that line.
    pub console: String,
}

/// Seconds of a boot.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    /// As measured.
    pub expected: u64,
    /// After which it is a failure.
    pub limit: u64,
}

/// A kernel that the machine can boot.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// The two numbers, `6.12`.
    pub version: String,
    /// The Debian suite that has it.
    pub suite: String,
    /// The last part of the package's name, `linux-image-6.12.…-FLAVOUR`.
    pub flavour: String,
}

impl Recipe {
    /// The names of all machines.
    pub fn names() -> impl Iterator<Item = &'static str> {
        TEXTS.iter().map(|(name, _)| *name)
    }

    /// The recipe of a machine.
    pub fn load(name: &str) -> anyhow::Result<Recipe> {
        let known = || Recipe::names().collect::<Vec<_>>().join(", ");
        let (_, text) = TEXTS
            .iter()
            .find(|(n, _)| *n == name)
            .with_context(|| format!("no machine `{name}`; there are {}", known()))?;
        serde_yaml::from_str(text).with_context(|| format!("the recipe of {name}"))
    }

    /// A kernel by its version; without one the default.
    pub fn kernel(&self, version: Option<&str>) -> anyhow::Result<&Kernel> {
        let Some(version) = version else { return self.kernels.first().context("the recipe names no kernel") };
        let all = || self.kernels.iter().map(|k| k.version.as_str()).collect::<Vec<_>>().join(", ");
        match self.kernels.iter().find(|k| k.version == version) {
            Some(kernel) => Ok(kernel),
            None => bail!("{} has no kernel {version}; there are {}", self.name, all()),
        }
    }

    /// The name of cargo's variables for the target, `CARGO_TARGET_…_KEY`.
    pub fn cargo_variable(&self, key: &str) -> String {
        format!("CARGO_TARGET_{}_{key}", self.target.to_uppercase().replace('-', "_"))
    }

    /// After how long a machine that has not reached user space is given up.
    pub fn boot_limit(&self) -> Duration {
        Duration::from_secs(self.boot.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn all() -> Vec<Recipe> {
        Recipe::names().map(|name| Recipe::load(name).unwrap()).collect()
    }

    #[test]
    fn every_file_is_known() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/machines");
        let files: BTreeSet<String> = std::fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(files, Recipe::names().map(str::to_owned).collect());
    }

    #[test]
    fn fields_are_sane() {
        for recipe in all() {
            let Recipe { name, target, gnu, .. } = &recipe;
            assert!(TEXTS.iter().any(|(n, _)| n == name), "{name}");
            assert_eq!(target.split('-').next(), gnu.split('-').next(), "{name}");
            assert!(target.ends_with("-unknown-linux-gnu"), "{name}");
            assert!(recipe.qemu.program.starts_with("qemu-system-"), "{name}");
            assert!(recipe.qemu.package.starts_with("qemu-system-"), "{name}");
            assert!(recipe.qemu.serial.iter().any(|a| a.contains("console")), "{name}: nothing takes the console");
            assert!((1..=8).contains(&recipe.cpus) && (512..=8192).contains(&recipe.memory), "{name}");
            assert!(recipe.slowness >= 1.0 && recipe.boot.expected < recipe.boot.limit, "{name}");
            assert_eq!(recipe.modules.first().map(String::as_str), Some("crc32c_generic"), "{name}");
            let unique: BTreeSet<_> = recipe.modules.iter().collect();
            assert_eq!(unique.len(), recipe.modules.len(), "{name}: a module twice");
            for kernel in &recipe.kernels {
                assert_eq!(kernel.version.split('.').count(), 2, "{name}");
                assert!(["bookworm", "trixie", "sid"].contains(&kernel.suite.as_str()), "{name}");
            }
            assert_eq!(recipe.kernel(None).unwrap().version, "6.12", "{name}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert!(Recipe::load("vax").unwrap_err().to_string().contains("aarch64, ppc64le"));
        let recipe = Recipe::load("x86_64").unwrap();
        assert!(recipe.kernel(Some("2.4")).unwrap_err().to_string().contains("6.12, 6.1, 7.2"));
        assert_eq!(recipe.cargo_variable("LINKER"), "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER");
    }
}
