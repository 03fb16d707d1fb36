//! Kernel modules, decompressed, each after what it depends on.

use crate::tool;
use anyhow::{Context as _, bail};
use object::{Object as _, ObjectSection as _};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A module and its bytes.
pub type Module = (String, Vec<u8>);

/// What was found of the modules that a recipe names.
pub struct Collected {
    /// In the order in which they can be loaded.
    pub loadable: Vec<Module>,
    /// Neither modules nor built in.
    pub missing: Vec<String>,
}

/// Collects modules of `lib/modules/RELEASE`.
pub fn collect(dir: &Path, wanted: &[String]) -> anyhow::Result<Collected> {
    let files = index(dir)?;
    let builtin = fs::read_to_string(dir.join("modules.builtin")).unwrap_or_default();
    let builtin: BTreeSet<String> = builtin.lines().filter_map(|l| module_name(Path::new(l))).collect();
    let (mut bytes, mut missing) = (BTreeMap::new(), Vec::new());
    let order = order(wanted, |name| {
        let Some(path) = files.get(name) else {
            if !builtin.contains(name) && wanted.iter().any(|w| w == name) {
                missing.push(name.to_owned());
            }
            return Ok(None);
        };
        let data = read(path)?;
        let depends = depends(&data).with_context(|| format!("the module {}", path.display()))?;
        bytes.insert(name.to_owned(), data);
        Ok(Some(depends))
    })?;
    let loadable = order.into_iter().filter_map(|name| bytes.remove_entry(&name)).collect();
    Ok(Collected { loadable, missing })
}

/// The modules' files by their names.
fn index(dir: &Path) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut next = vec![dir.join("kernel")];
    while let Some(dir) = next.pop() {
        for entry in fs::read_dir(&dir).with_context(|| format!("failed to list {}", dir.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                next.push(path);
            } else if let Some(name) = module_name(&path) {
                found.insert(name, path);
            }
        }
    }
    Ok(found)
}

/// `tcp_diag` of `…/tcp_diag.ko.xz`. The kernel takes a dash for an underscore.
fn module_name(path: &Path) -> Option<String> {
    let (name, _) = path.file_name()?.to_str()?.split_once(".ko")?;
    Some(name.replace('-', "_"))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = File::open(path).with_context(|| format!("failed to open {}", path.display()))?;
    match path.extension().and_then(|e| e.to_str()) {
        Some("xz") => tool::filter(Command::new("xz").arg("-dc"), file),
        Some("zst") => tool::filter(Command::new("zstd").arg("-dc"), file),
        Some("gz") => tool::filter(Command::new("gzip").arg("-dc"), file),
        Some("ko") => fs::read(path).with_context(|| format!("failed to read {}", path.display())),
        _ => bail!("{} is compressed in an unknown way", path.display()),
    }
}

/// What a module says in `.modinfo` that it depends on.
fn depends(module: &[u8]) -> anyhow::Result<Vec<String>> {
    let file = object::File::parse(module).context("no ELF file")?;
    let section = file.section_by_name(".modinfo").context("no .modinfo")?;
    let data = section.data().context("no contents of .modinfo")?;
    let found = data.split(|b| *b == 0).find_map(|entry| entry.strip_prefix(b"depends="));
    let text = String::from_utf8_lossy(found.unwrap_or_default());
    Ok(text.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect())
}

/// The wanted modules and what they depend on, each after its own; `depends` says none for what is not loadable.
fn order(
    wanted: &[String],
    mut depends: impl FnMut(&str) -> anyhow::Result<Option<Vec<String>>>,
) -> anyhow::Result<Vec<String>> {
    let (mut order, mut seen) = (Vec::new(), BTreeSet::new());
    // A stack of (module, whether its dependencies are already above it).
    let mut stack: Vec<(String, bool)> = wanted.iter().rev().map(|w| (w.clone(), false)).collect();
    while let Some((name, settled)) = stack.pop() {
        if settled {
            order.push(name);
        } else if seen.insert(name.clone())
            && let Some(needs) = depends(&name)?
        {
            stack.push((name, true));
            stack.extend(needs.into_iter().map(|n| (n, false)));
        }
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(wanted: &[&str], graph: &[(&str, &[&str])]) -> Vec<String> {
        let wanted: Vec<String> = wanted.iter().map(|w| (*w).to_owned()).collect();
        let depends = |name: &str| {
            let found = graph.iter().find(|(n, _)| *n == name);
            Ok(found.map(|(_, needs)| needs.iter().map(|n| (*n).to_owned()).collect()))
        };
        order(&wanted, depends).unwrap()
    }

    #[test]
    fn dependencies_come_first_and_once() {
        let graph: &[(&str, &[&str])] = &[
            ("bridge", &["stp", "llc"]),
            ("stp", &["llc"]),
            ("llc", &[]),
            ("crc", &[]),
            ("nf_tables", &["nfnetlink", "libcrc32c"]),
            ("nfnetlink", &[]),
        ];
        assert_eq!(ordered(&["crc", "bridge", "llc"], graph), ["crc", "llc", "stp", "bridge"]);
        // What is built in is no module.
        assert_eq!(ordered(&["nf_tables"], graph), ["nfnetlink", "nf_tables"]);
        assert!(ordered(&["absent"], graph).is_empty());
        // A circle, which the kernel does not allow, ends nevertheless.
        assert_eq!(ordered(&["a"], &[("a", &["b"]), ("b", &["a"])]).len(), 2);
    }

    #[test]
    fn names_of_files() {
        assert_eq!(module_name(Path::new("kernel/net/tcp-diag.ko.xz")).unwrap(), "tcp_diag");
        assert_eq!(module_name(Path::new("kernel/drivers/net/tun.ko")).unwrap(), "tun");
        assert!(module_name(Path::new("modules.order")).is_none());
    }
}
