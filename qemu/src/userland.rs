//! The programs beside the suite in a machine: a small Debian, unpacked and never configured.

use crate::apt::Apt;
use crate::cache::Cache;
use crate::initramfs;
use crate::recipe::Recipe;
use anyhow::Context as _;
use std::fs::{self, File};
use std::io::BufWriter;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// What the harness and the cases use; what these depend on comes with them.
const PACKAGES: [&str; 26] = [
    "base-files",
    "bash",
    "coreutils",
    "dash",
    "debianutils",
    "e2fsprogs",
    "findutils",
    "gawk",
    "grep",
    "gzip",
    "hostname",
    "iproute2",
    "kmod",
    "libc-bin",
    "make",
    "mawk",
    "nftables",
    "perl",
    "procps",
    "python3",
    "sed",
    "sqlite3",
    "strace",
    "tar",
    "util-linux",
    "ncurses-base",
];
/// Where they come from, the first that has them all.
const SUITES: [&str; 2] = ["trixie", "sid"];
/// What no program needs.
const SPARED: [&str; 6] = [
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/lintian",
    "usr/lib/python3/dist-packages",
];
/// Accounts, as no package's script runs.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
                      nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\ndaemon:x:1:\ntty:x:5:\nnogroup:x:65534:\n";

/// The archive with the userland, fetched where the cache lacks it.
pub fn fetch(cache: &Cache, recipe: &Recipe) -> anyhow::Result<PathBuf> {
    let dir = cache.entry(&entry(recipe), |dir| {
        let root = dir.join("root");
        unpack(cache, recipe, &root)?;
        complete(&root)?;
        let archive = dir.join("archive");
        let out = File::create(&archive).with_context(|| format!("failed to make {}", archive.display()))?;
        initramfs::archive_tree(&root, &SPARED, BufWriter::new(out))?;
        fs::remove_dir_all(&root).context("failed to remove the unpacked programs")
    })?;
    Ok(dir.join("archive"))
}

/// Unpacks the packages. After a point release a mirror may lack some of an architecture for days: any suite will do.
fn unpack(cache: &Cache, recipe: &Recipe, root: &Path) -> anyhow::Result<()> {
    let mut last = None;
    for suite in SUITES {
        fs::create_dir(root)?;
        let apt = Apt::new(cache, &recipe.debian, &[suite])?;
        match apt.unpack(&format!("programs for {}", recipe.name), &apt.closure(&PACKAGES)?, root) {
            Ok(()) => return Ok(()),
            Err(e) => {
                eprintln!("qemu: {e:#}");
                last = Some(e);
            }
        }
        fs::remove_dir_all(root)?;
    }
    Err(last.unwrap_or_else(|| anyhow::anyhow!("no suite to take programs from")))
}

/// Whether nothing would have to be fetched.
pub fn is_cached(cache: &Cache, recipe: &Recipe) -> bool {
    cache.has(&entry(recipe))
}

/// A change of the list makes another entry.
fn entry(recipe: &Recipe) -> String {
    let list = format!("{PACKAGES:?}{SPARED:?}{PASSWD}{GROUP}");
    format!("userland/{}-{:08x}", recipe.name, crc32c::crc32c(list.as_bytes()))
}

/// What the packages' scripts would have made.
fn complete(root: &Path) -> anyhow::Result<()> {
    for dir in ["root", "tmp", "run", "dev", "proc", "sys", "mnt", "var/tmp", "usr/local/bin"] {
        fs::create_dir_all(root.join(dir))?;
    }
    let files = [("etc/passwd", PASSWD), ("etc/group", GROUP), ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")];
    for (path, text) in files {
        fs::write(root.join(path), text)?;
    }
    for (link, target) in [("usr/bin/awk", "mawk"), ("usr/bin/sh", "dash"), ("etc/mtab", "/proc/self/mounts")] {
        if root.join(link).symlink_metadata().is_err() {
            symlink(target, root.join(link)).with_context(|| format!("failed to link {link}"))?;
        }
    }
    Ok(())
}
