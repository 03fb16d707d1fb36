//! What this kernel can do, as far as the engine does things differently for it. Asked once a boot and kept in the
//! runtime directory; `check` asks anew.

use super::{FEATURES, probe};
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The features that the engine goes by.
const ASKED: [&str; 5] =
    ["pagemap_scan", "pagemap_scan_guard_pages", "timer_cr_ids", "membarrier_registrations", "smaps_lock_on_fault"];

/// What the kernel can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel {
    /// PAGEMAP_SCAN tells which pages hold something (Linux 6.7).
    pub pagemap_scan: bool,
    /// And which of them are guards (6.15).
    pub scans_guards: bool,
    /// Timers are made with the ids that the caller wants (6.15).
    pub timer_ids: bool,
    /// membarrier(2) lists what the process registered for (6.3).
    pub lists_barriers: bool,
    /// smaps has letters for areas that are locked as their pages come in.
    pub names_lock_on_fault: bool,
}

/// What this kernel can do.
pub fn get() -> Kernel {
    static KERNEL: OnceLock<Kernel> = OnceLock::new();
    *KERNEL.get_or_init(|| {
        let place = place();
        let known = place.as_deref().and_then(load);
        known.unwrap_or_else(|| ask(place.as_deref()))
    })
}

/// Asks the kernel anew and keeps the answers: the file that they are kept in, where there is one.
pub fn refresh() -> Option<PathBuf> {
    let place = place();
    ask(place.as_deref());
    place.filter(|path| path.exists())
}

fn ask(place: Option<&Path>) -> Kernel {
    let report = probe(FEATURES.iter().filter(|feature| ASKED.contains(&feature.name)));
    if let Some(Err(e)) = place.map(|path| store(path, &report.present)) {
        tracing::debug!("what the kernel can do is not kept: {e}");
    }
    of(&report.present)
}

fn of(present: &[impl AsRef<str>]) -> Kernel {
    let [pagemap_scan, scans_guards, timer_ids, lists_barriers, names_lock_on_fault] =
        ASKED.map(|name| present.iter().any(|p| p.as_ref() == name));
    Kernel { pagemap_scan, scans_guards, timer_ids, lists_barriers, names_lock_on_fault }
}

/// Where the answers of this boot are kept. Nowhere for an engine under a seccomp filter, which gets answers that are
/// not the kernel's.
fn place() -> Option<PathBuf> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    if !status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "0")) {
        return None;
    }
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let runtime = match nix::unistd::geteuid().is_root() {
        true => PathBuf::from("/run"),
        false => std::env::var_os("XDG_RUNTIME_DIR")?.into(),
    };
    Some(runtime.join("stasis").join(format!("kernel-{}-{}", env!("CARGO_PKG_VERSION"), boot.trim())))
}

/// The answers in a file that only we can have written.
fn load(path: &Path) -> Option<Kernel> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path).ok()?;
    let meta = file.metadata().ok()?;
    if !meta.is_file() || meta.uid() != nix::unistd::geteuid().as_raw() || meta.mode() & 0o022 != 0 {
        return None;
    }
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).ok()?;
    let lines: Vec<&str> = text.lines().collect();
    lines.split_last().filter(|(last, _)| **last == end()).map(|(_, present)| of(present))
}

/// The last line says that all was written, and what was asked: another engine may ask less.
fn end() -> String {
    format!("of {}", ASKED.join(" "))
}

fn store(path: &Path, present: &[&str]) -> io::Result<()> {
    let Some(dir) = path.parent() else { return Ok(()) };
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    let mut text = present.join("\n");
    text.push_str(if present.is_empty() { "" } else { "\n" });
    text.push_str(&end());
    text.push('\n');
    let temporary = path.with_extension(std::process::id().to_string());
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| fs::rename(&temporary, path));
    written.inspect_err(|_| drop(fs::remove_file(&temporary)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_what_was_asked() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("stasis/kernel");
        for present in [vec![], vec!["pagemap_scan"], ASKED.to_vec()] {
            store(&path, &present).expect("stored");
            assert_eq!(load(&path), Some(of(&present)));
        }
    }

    #[test]
    fn half_a_file_and_one_that_others_may_write_are_not_believed() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("kernel");
        fs::write(&path, "pagemap_scan\n").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
        assert_eq!(load(&path), None);
        fs::write(&path, format!("pagemap_scan\n{}\n", end())).expect("written");
        assert_eq!(load(&path), Some(of(&["pagemap_scan"])));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o622)).expect("permissions");
        assert_eq!(load(&path), None);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        assert_eq!(load(&link), None);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
        fs::write(&path, "pagemap_scan\nof pagemap_scan\n").expect("written");
        assert_eq!(load(&path), None, "not all was asked");
    }

    #[test]
    fn this_kernel_is_asked_once() {
        assert_eq!(get(), get());
        assert!(get().pagemap_scan || !get().scans_guards, "guards are told by the scan");
    }
}
