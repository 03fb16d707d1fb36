//! The initial file system of a machine: cpio archives, one after another, which the kernel unpacks into memory.

use crate::guest::{INIT, JOB, Job, MODULES};
use crate::modules::Module;
use anyhow::Context as _;
use cpio::newc;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What a run puts into a machine.
pub struct Payload {
    /// What the machine is to do.
    pub job: Job,
    /// The file of the machine that is the first process's program (see [`crate::guest::is_init`]).
    pub init: String,
    /// Files: their absolute path in the machine, and where they are here.
    pub files: Vec<(String, PathBuf)>,
    /// Symbolic links: their absolute path and their target.
    pub links: Vec<(String, String)>,
}

/// Types of files in a mode, see inode(7).
const DIRECTORY: u32 = 0o040000;
const REGULAR: u32 = 0o100000;
const LINK: u32 = 0o120000;
const CHARACTERS: u32 = 0o020000;

/// Writes an archive; everything in it belongs to root.
struct Archive<W: Write> {
    out: W,
    inode: u32,
    dirs: BTreeSet<PathBuf>,
}

impl<W: Write> Archive<W> {
    fn new(out: W) -> Archive<W> {
        Archive { out, inode: 0, dirs: BTreeSet::new() }
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), data: &[u8]) -> anyhow::Result<()> {
        self.inode += 1;
        let size = u32::try_from(data.len()).with_context(|| format!("{path} is too large for an archive"))?;
        let entry = newc::Builder::new(path.trim_start_matches('/')).ino(self.inode).mode(mode).nlink(1);
        let mut writer = entry.rdev_major(device.0).rdev_minor(device.1).write(&mut self.out, size);
        writer.write_all(data).and_then(|()| writer.finish().map(drop)).context("failed to write an archive")
    }

    /// A directory and those above it, once.
    fn dir(&mut self, path: &Path) -> anyhow::Result<()> {
        let above: Vec<&Path> = path.ancestors().collect();
        for dir in above.into_iter().rev().filter(|d| d.components().count() > 1) {
            if self.dirs.insert(dir.to_owned()) {
                self.entry(&dir.to_string_lossy(), DIRECTORY | 0o755, (0, 0), &[])?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &str, permissions: u32, data: &[u8]) -> anyhow::Result<()> {
        self.dir(Path::new(path).parent().context("a file has a directory")?)?;
        self.entry(path, REGULAR | permissions, (0, 0), data)
    }

    fn link(&mut self, path: &str, target: &str) -> anyhow::Result<()> {
        self.dir(Path::new(path).parent().context("a link has a directory")?)?;
        self.entry(path, LINK | 0o777, (0, 0), target.as_bytes())
    }

    /// The trailer, and zeros, so that another archive can follow.
    fn finish(self) -> io::Result<W> {
        let mut out = newc::trailer(self.out)?;
        out.write_all(&[0; 512])?;
        Ok(out)
    }
}

/// Writes an archive of a directory without what lies below the paths `spared`.
pub fn archive_tree(root: &Path, spared: &[&str], out: impl Write) -> anyhow::Result<()> {
    let mut archive = Archive::new(out);
    let mut first: BTreeMap<(u64, u64), String> = BTreeMap::new();
    let mut next = vec![root.to_owned()];
    while let Some(dir) = next.pop() {
        let entries = fs::read_dir(&dir).with_context(|| format!("failed to list {}", dir.display()))?;
        let mut paths = entries.map(|e| Ok(e?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
        paths.sort();
        for path in paths {
            let inside = path.strip_prefix(root)?;
            if spared.iter().any(|s| inside.starts_with(s)) {
                continue;
            }
            let name = inside.to_str().with_context(|| format!("{} is no text", path.display()))?;
            let meta = path.symlink_metadata()?;
            let permissions = meta.permissions().mode() & 0o7777;
            if meta.is_dir() {
                archive.entry(name, DIRECTORY | permissions, (0, 0), &[])?;
                next.push(path);
            } else if meta.is_symlink() {
                archive.entry(name, LINK | 0o777, (0, 0), fs::read_link(&path)?.as_os_str().as_bytes())?;
            } else if let Some(other) = first.get(&(meta.dev(), meta.ino())) {
                // A second name of a file: a symbolic link will do.
                archive.entry(name, LINK | 0o777, (0, 0), format!("/{other}").as_bytes())?;
            } else if meta.is_file() {
                let data = fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
                archive.entry(name, REGULAR | permissions, (0, 0), &data)?;
                first.insert((meta.dev(), meta.ino()), name.to_owned());
            }
        }
    }
    archive.finish().and_then(|mut out| out.flush()).context("failed to write an archive")
}

/// Writes a machine's initial file system: the userland's archive, and one of what a run adds.
pub fn write(userland: &Path, modules: &[Module], payload: &Payload, to: &Path) -> anyhow::Result<()> {
    fs::copy(userland, to).with_context(|| format!("failed to copy the userland to {}", to.display()))?;
    let out = File::options().append(true).open(to).with_context(|| format!("failed to open {}", to.display()))?;
    let mut archive = Archive::new(BufWriter::new(out));
    for (path, numbers) in [("/dev/console", (5, 1)), ("/dev/null", (1, 3))] {
        archive.dir(Path::new("/dev"))?;
        archive.entry(path, CHARACTERS | 0o600, numbers, &[])?;
    }
    let mut job = payload.job.clone();
    for (at, (name, data)) in modules.iter().enumerate() {
        let path = format!("{MODULES}/{at:02}-{name}.ko");
        archive.file(&path, 0o644, data)?;
        job.modules.push(path);
    }
    let program = |path: &Path| fs::read(path).with_context(|| format!("failed to read {}", path.display()));
    archive.link(INIT, &payload.init)?;
    for (path, from) in &payload.files {
        archive.file(path, from.metadata().map_or(0o644, |m| m.permissions().mode() & 0o777), &program(from)?)?;
    }
    for (path, target) in &payload.links {
        archive.link(path, target)?;
    }
    archive.file(JOB, 0o644, &serde_json::to_vec(&job)?)?;
    archive.finish().and_then(|mut out| out.flush()).with_context(|| format!("failed to write {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    /// What an archive holds, as the kernel would unpack it: name, mode, contents.
    fn entries(mut rest: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut found = Vec::new();
        while !rest.is_empty() {
            let mut reader = newc::Reader::new(rest).unwrap();
            let entry = reader.entry();
            if entry.is_trailer() {
                rest = reader.finish().unwrap();
                let next = rest.iter().position(|b| *b != 0).unwrap_or(rest.len());
                rest = &rest[next..];
                continue;
            }
            let (name, mode) = (entry.name().to_owned(), entry.mode());
            let mut data = Vec::new();
            reader.read_to_end(&mut data).unwrap();
            rest = reader.finish().unwrap();
            found.push((name, mode, data));
        }
        found
    }

    #[test]
    fn archives_follow_one_another() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::create_dir_all(root.join("usr/share/doc/x")).unwrap();
        fs::write(root.join("usr/bin/odd"), "123").unwrap();
        fs::hard_link(root.join("usr/bin/odd"), root.join("usr/bin/same")).unwrap();
        std::os::unix::fs::symlink("odd", root.join("usr/bin/link")).unwrap();
        let userland = dir.path().join("userland");
        archive_tree(&root, &["usr/share/doc"], File::create(&userland).unwrap()).unwrap();
        let job = Job::default();
        let files = vec![("/opt/x/file".to_owned(), root.join("usr/bin/odd"))];
        let links = vec![("/usr/local/bin/l".to_owned(), "/opt/x/file".to_owned())];
        let payload = Payload { job, init: "/opt/x/file".to_owned(), files, links };
        let to = dir.path().join("initrd");
        write(&userland, &[("crc".to_owned(), b"elf".to_vec())], &payload, &to).unwrap();

        let all = entries(&fs::read(&to).unwrap());
        let get = |name: &str| all.iter().find(|(n, _, _)| n == name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(get("usr/bin/odd").2, b"123");
        assert_eq!(get("usr/bin/same").2, b"/usr/bin/odd");
        assert_eq!((get("usr/bin/link").1 & 0o170000, get("usr/bin/link").2.as_slice()), (LINK, b"odd".as_slice()));
        assert!(!all.iter().any(|(name, _, _)| name.contains("doc")));
        assert_eq!(get("init").2, b"/opt/x/file");
        assert_eq!(get("opt/x/file").2, b"123");
        assert_eq!(get("opt").1, DIRECTORY | 0o755);
        assert_eq!(get("dev/console").1 & 0o170000, CHARACTERS);
        let job: Job = serde_json::from_slice(&get("stasis/job.json").2).unwrap();
        assert_eq!(job.modules, ["/stasis/modules/00-crc.ko"]);
        assert_eq!(get("stasis/modules/00-crc.ko").2, b"elf");
    }
}
