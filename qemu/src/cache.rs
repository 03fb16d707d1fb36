//! What was fetched and unpacked: directories that are whole or not there.

use anyhow::Context as _;
use nix::fcntl::{Flock, FlockArg};
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The variable that names another place for the cache.
pub const VARIABLE: &str = "STASIS_QEMU_CACHE";

/// The cache: `target/qemu`, or where `STASIS_QEMU_CACHE` says.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The cache below cargo's target directory; nothing is made yet.
    pub fn locate(target: &Path) -> anyhow::Result<Cache> {
        let root = env::var_os(VARIABLE).filter(|v| !v.is_empty()).map_or_else(|| target.join("qemu"), PathBuf::from);
        let root = std::path::absolute(&root).with_context(|| format!("{VARIABLE}={}", root.display()))?;
        Ok(Cache { root })
    }

    /// A path in the cache.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Whether a directory is there, and so whole.
    pub fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The directory `name`. Where it is missing, `make` fills one beside it, which then gets the name: whatever
    /// interrupts that, a directory with the name is whole.
    pub fn entry(&self, name: &str, make: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<PathBuf> {
        let path = self.path(name);
        if path.exists() {
            return Ok(path);
        }
        let _lock = self.lock()?;
        if path.exists() {
            return Ok(path);
        }
        let partial = PathBuf::from(format!("{}.partial", path.display()));
        // Whoever made it has ended: the lock is ours.
        remove(&partial)?;
        let made = fs::create_dir_all(&partial)
            .with_context(|| format!("failed to make {}", partial.display()))
            .and_then(|()| make(&partial));
        if let Err(e) = made {
            // The error that counts is the first.
            let _removed = remove(&partial);
            return Err(e);
        }
        fs::rename(&partial, &path).with_context(|| format!("failed to name {}", path.display()))?;
        Ok(path)
    }

    /// One fetches at a time; the others wait for what it fetches.
    fn lock(&self) -> anyhow::Result<Flock<File>> {
        fs::create_dir_all(&self.root).with_context(|| format!("failed to make {}", self.root.display()))?;
        let path = self.root.join("lock");
        let file = File::create(&path).with_context(|| format!("failed to make {}", path.display()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(lock),
            Err((file, _)) => {
                eprintln!("qemu: another run fetches into {}; waiting for it", self.root.display());
                let locked = Flock::lock(file, FlockArg::LockExclusive);
                locked.map_err(|(_, e)| e).with_context(|| format!("failed to lock {}", path.display()))
            }
        }
    }

    /// Fails where the disk has less than so many bytes left.
    pub fn check_space(&self, bytes: u64) -> anyhow::Result<()> {
        let disk = nix::sys::statvfs::statvfs(&self.root)
            .with_context(|| format!("failed to ask for the free space of {}", self.root.display()))?;
        let free = disk.blocks_available() * disk.fragment_size();
        if free < bytes {
            let root = self.root.display();
            anyhow::bail!(
                "{root} has {} free, {} are needed; {VARIABLE} can name another place",
                size(free),
                size(bytes)
            );
        }
        Ok(())
    }
}

fn remove(dir: &Path) -> anyhow::Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("failed to remove {}", dir.display()))?;
    }
    Ok(())
}

/// Bytes in words.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..100_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        100_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_interrupted_does_not_look_whole() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache { root: dir.path().join("cache") };
        let failed = cache.entry("a/b", |path| {
            fs::write(path.join("half"), "x")?;
            anyhow::bail!("interrupted")
        });
        assert_eq!(failed.unwrap_err().to_string(), "interrupted");
        assert!(!cache.has("a/b") && !cache.has("a/b.partial"));
        // What a killed one left.
        fs::create_dir_all(cache.path("a/b.partial/junk")).unwrap();
        let path = cache.entry("a/b", |path| Ok(fs::write(path.join("whole"), "x")?)).unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
        cache.entry("a/b", |_| panic!("it is there")).unwrap();
    }

    #[test]
    fn lack_of_space_is_an_error() {
        let cache = Cache { root: tempfile::tempdir().unwrap().path().parent().unwrap().to_owned() };
        cache.check_space(1).unwrap();
        assert!(cache.check_space(u64::MAX / 2).unwrap_err().to_string().contains(VARIABLE));
    }
}
