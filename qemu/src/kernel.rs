//! A machine's kernel and its modules, as Debian packages them.

use crate::apt::Apt;
use crate::cache::Cache;
use crate::recipe::{Kernel, Recipe};
use anyhow::{Context as _, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// A kernel in the cache.
pub struct Files {
    /// What QEMU boots.
    pub image: PathBuf,
    /// As `uname -r` prints it.
    pub release: String,
    /// `lib/modules/RELEASE`.
    pub modules: PathBuf,
}

impl Files {
    /// Fetches the kernel where the cache lacks it.
    pub fn fetch(cache: &Cache, recipe: &Recipe, kernel: &Kernel) -> anyhow::Result<Files> {
        let dir = cache.entry(&entry(recipe, kernel), |dir| fetch(cache, recipe, kernel, dir))?;
        Files::find(&dir)
    }

    /// Whether nothing would have to be fetched.
    pub fn is_cached(cache: &Cache, recipe: &Recipe, kernel: &Kernel) -> bool {
        cache.has(&entry(recipe, kernel))
    }

    fn find(dir: &Path) -> anyhow::Result<Files> {
        let all = [dir.join("usr/lib/modules"), dir.join("lib/modules")];
        let all = all.iter().find(|d| d.is_dir()).with_context(|| format!("no modules in {}", dir.display()))?;
        let modules = fs::read_dir(all)?.next().with_context(|| format!("{} is empty", all.display()))??.path();
        let release = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let boot = |name: &str| dir.join("boot").join(format!("{name}-{release}"));
        let image = [boot("vmlinuz"), boot("vmlinux"), modules.join("vmlinuz")].into_iter().find(|p| p.is_file());
        let image = image.with_context(|| format!("no kernel in {}", dir.display()))?;
        Ok(Files { image, release, modules })
    }
}

fn entry(recipe: &Recipe, kernel: &Kernel) -> String {
    format!("kernels/{}-{}", recipe.name, kernel.version)
}

fn fetch(cache: &Cache, recipe: &Recipe, kernel: &Kernel, dir: &Path) -> anyhow::Result<()> {
    let apt = Apt::new(cache, &recipe.debian, &[&kernel.suite])?;
    let names = candidates(apt.names(&format!("linux-image-{}.", kernel.version))?, kernel);
    let mut last = None;
    // A mirror's lists may name a newer kernel than it has.
    for name in &names {
        let release = name.strip_prefix("linux-image-").unwrap_or(name);
        // A kernel may be split into packages: linux-binary-…, linux-modules-….
        let mut packages = apt.closure(&[name])?;
        packages.retain(|p| p.name.starts_with("linux-") && p.name.ends_with(release));
        match apt.unpack(&format!("Linux {release} for {}", recipe.name), &packages, dir) {
            Ok(()) => return Ok(()),
            Err(e) => {
                eprintln!("qemu: {e:#}");
                last = Some(e);
            }
        }
    }
    match last {
        Some(e) => Err(e.context("no kernel could be fetched")),
        None => bail!("{} has no Linux {} for {}", kernel.suite, kernel.version, kernel.flavour),
    }
}

/// The packages of this version and flavour, the newest first.
fn candidates(names: Vec<String>, kernel: &Kernel) -> Vec<String> {
    let numbers = |name: &String| -> Option<Vec<u32>> {
        let rest = name.strip_prefix("linux-image-")?.strip_suffix(&kernel.flavour)?.strip_suffix('-')?;
        // Words other than Debian's own belong to other flavours: -rt, -cloud.
        let plain = rest.replace("+deb", ".").replace("~bpo", ".");
        plain.split(['.', '-', '+']).map(|n| n.parse().ok()).collect()
    };
    let mut found: Vec<_> = names.into_iter().filter_map(|name| Some((numbers(&name)?, name))).collect();
    found.sort();
    found.into_iter().rev().map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(names: &[&str], flavour: &str) -> Vec<String> {
        let kernel = Kernel { version: "6.12".to_owned(), suite: "trixie".to_owned(), flavour: flavour.to_owned() };
        candidates(names.iter().map(|n| (*n).to_owned()).collect(), &kernel)
    }

    #[test]
    fn the_newest_of_the_flavour_is_first() {
        let names = [
            "linux-image-6.12.9+deb13-arm64",
            "linux-image-6.12.117+deb13-arm64",
            "linux-image-6.12.117+deb13-rt-arm64",
            "linux-image-6.12.117+deb13-arm64-16k",
            "linux-image-6.12.117+deb13-arm64-dbg",
            "linux-image-6.12.117+deb13-cloud-arm64",
        ];
        assert_eq!(choose(&names, "arm64"), [names[1], names[0]]);
        assert_eq!(choose(&names, "cloud-arm64"), [names[5]]);
        assert_eq!(
            choose(&["linux-image-6.1.0-9-amd64", "linux-image-6.1.0-53-amd64"], "amd64")[0],
            "linux-image-6.1.0-53-amd64"
        );
        assert!(choose(&names, "s390x").is_empty());
    }
}
