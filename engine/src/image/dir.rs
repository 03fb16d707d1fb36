//! An images directory, opened to read.

use std::fs::File;
use std::io::{self, BufReader};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use prost::Message;

use super::crc::{ChunkSums, combine};
use super::error::{ImageError, Result};
use super::framing::Reader;
use super::kinds::{self, Name};
use super::manifest::{self, Manifest};
use super::proto::InventoryEntry;
use super::proto::StasisManifestFile;
use crate::parallel;

/// The version of the format that is read and written: v1.1.
pub const IMG_VERSION: u32 = 2;

/// Bytes that a thread reads at once when it computes checksums: they stay in the L2 cache.
const BLOCK: usize = 256 << 10;
/// Bytes of a large file that one thread sums up at a stretch.
const STRETCH: u64 = 8 << 20;

/// How much of a directory [`ImageDir::verify`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Sizes of all files, contents of all but `pages-N.img`: for a restore that sums those up as it reads them.
    Small,
    /// Sizes and contents of all files.
    All,
}

/// An images directory. Where it has a manifest, files that the manifest does not name do not exist for it:
/// they are left over from another dump.
#[derive(Debug)]
pub struct ImageDir {
    fd: OwnedFd,
    path: PathBuf,
    manifest: Option<Manifest>,
}

impl ImageDir {
    /// Opens the directory at `path`. Refuses one whose dump did not end; one without a manifest but otherwise
    /// without signs of an incomplete dump is another engine's, and accepted.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
        let fd = open(path, flags, Mode::empty()).map_err(|e| ImageError::io("open", path, e))?;
        Self::from_fd(fd, path)
    }

    /// As [`ImageDir::open`], with the directory's descriptor; `path` is its name in errors.
    pub fn from_fd(fd: OwnedFd, path: &Path) -> Result<Self> {
        let mut dir = Self { fd, path: path.to_path_buf(), manifest: None };
        dir.manifest = Manifest::read(&dir)?;
        if dir.manifest.is_none()
            && let Some(why) = manifest::torn(&dir.files()?)
        {
            return Err(ImageError::Incomplete { dir: dir.path, why });
        }
        Ok(dir)
    }

    /// A directory that is still being written: what it holds so far can be read.
    pub(super) fn unfinished(fd: OwnedFd, path: &Path) -> Self {
        Self { fd, path: path.to_path_buf(), manifest: None }
    }

    /// Its path as the user gave it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the dump said that it wrote; `None` for a directory of another engine.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// The path of a file, for errors.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Names of all files of the image in ascending order: those of the manifest, or what the directory holds.
    pub fn files(&self) -> Result<Vec<String>> {
        if let Some(manifest) = &self.manifest {
            return Ok(manifest.names().map(str::to_owned).collect());
        }
        list(&self.fd, &self.path)
    }

    /// Opens a file and tells its size in bytes; `None` if the image has no such file.
    pub fn open_file(&self, name: &str) -> Result<Option<(File, u64)>> {
        if self.manifest.as_ref().is_some_and(|m| m.get(name).is_none()) {
            return Ok(None);
        }
        self.open_any(name)
    }

    /// As [`ImageDir::open_file`], also for the manifest itself.
    pub(super) fn open_any(&self, name: &str) -> Result<Option<(File, u64)>> {
        // O_NONBLOCK: a fifo in the place of a file must not hold us up
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::ENOENT) => return Ok(None),
            Err(e) => return Err(ImageError::io("open", self.file(name), e)),
        };
        let meta = file.metadata().map_err(|e| ImageError::io("stat", self.file(name), e))?;
        if !meta.is_file() {
            return Err(ImageError::invalid(self.file(name), 0, "not a regular file"));
        }
        Ok(Some((file, meta.len())))
    }

    /// Opens a raw file, such as pages, and tells its size in bytes.
    pub fn raw(&self, name: Name<()>) -> Result<(File, u64)> {
        let name = name.to_string();
        self.open_file(&name)?.ok_or_else(|| ImageError::Missing { file: self.file(&name) })
    }

    /// Begins to read a file; `None` if the image has no such file.
    pub fn reader<M>(&self, name: Name<M>) -> Result<Option<Reader<BufReader<File>>>> {
        let file = name.to_string();
        let Some((input, size)) = self.open_file(&file)? else { return Ok(None) };
        let input = BufReader::with_capacity(size.clamp(16, 128 << 10) as usize, input);
        Reader::new(input, &self.file(&file), size, name.kind).map(Some)
    }

    /// The one entry of a file; `None` if the image has no such file.
    pub fn read_optional<M: Message + prost::Name + Default>(&self, name: Name<M>) -> Result<Option<M>> {
        let Some(mut reader) = self.reader(name)? else { return Ok(None) };
        let Some(entry) = reader.entry()? else { return Err(reader.invalid("an entry is missing")) };
        if reader.left() > 0 {
            return Err(reader.invalid("one entry is all that may be here"));
        }
        Ok(Some(entry))
    }

    /// The one entry of a file that must be there.
    pub fn read_one<M: Message + prost::Name + Default>(&self, name: Name<M>) -> Result<M> {
        self.read_optional(name)?.ok_or_else(|| ImageError::Missing { file: self.file(&name.to_string()) })
    }

    /// All entries of a file without payloads; none if the image has no such file.
    pub fn read_all<M: Message + prost::Name + Default>(&self, name: Name<M>) -> Result<Vec<M>> {
        Ok(self.read_all_with(name, |_| 0)?.into_iter().map(|(entry, _)| entry).collect())
    }

    /// All entries of a file, each with the payload of as many bytes as `len` says.
    pub fn read_all_with<M: Message + prost::Name + Default>(
        &self,
        name: Name<M>,
        len: impl Fn(&M) -> u64,
    ) -> Result<Vec<(M, Vec<u8>)>> {
        let mut entries = Vec::new();
        let Some(mut reader) = self.reader(name)? else { return Ok(entries) };
        while let Some(entry) = reader.entry()? {
            let payload = reader.payload(len(&entry))?;
            entries.push((entry, payload));
        }
        Ok(entries)
    }

    /// The inventory, which every image has, once its version was found right.
    pub fn inventory(&self) -> Result<InventoryEntry> {
        let inventory = self.read_one(kinds::INVENTORY.single())?;
        if inventory.img_version != IMG_VERSION {
            let file = self.file("inventory.img");
            return Err(ImageError::Version { file, found: inventory.img_version, supported: IMG_VERSION });
        }
        Ok(inventory)
    }

    /// Compares the files with the manifest, on all cores. `Ok(false)` if there is none to compare with.
    pub fn verify(&self, depth: Verify) -> Result<bool> {
        let Some(manifest) = &self.manifest else { return Ok(false) };
        let large = parallel::map_bytes(manifest.files(), self.bytes(), |entry| {
            Ok(self.verify_small(entry, depth)?.map(|file| (entry, file)))
        })?;
        for (entry, file) in large.iter().flatten() {
            let sum = checksum(file, entry.size).map_err(|e| ImageError::io("read", self.file(&entry.name), e))?;
            self.compare(entry, sum)?;
        }
        Ok(true)
    }

    /// Bytes of all files that the manifest lists.
    pub fn bytes(&self) -> u64 {
        self.manifest.iter().flat_map(|manifest| manifest.files()).fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// Checks the size, and the contents of a small file. Hands back a large one whose contents are to be checked.
    fn verify_small(&self, entry: &StasisManifestFile, depth: Verify) -> Result<Option<File>> {
        let path = || self.file(&entry.name);
        let (file, found) = self.open_file(&entry.name)?.ok_or_else(|| ImageError::Missing { file: path() })?;
        if found != entry.size {
            return Err(ImageError::Size { file: path(), expected: entry.size, found });
        }
        if depth == Verify::Small && kinds::PAGES.kind().matches(&entry.name).is_some() {
            return Ok(None);
        }
        if entry.size > STRETCH {
            return Ok(Some(file));
        }
        let sum = sum_range(&file, 0, entry.size).map_err(|e| ImageError::io("read", path(), e))?;
        self.compare(entry, sum)?;
        Ok(None)
    }

    fn compare(&self, entry: &StasisManifestFile, found: u32) -> Result<()> {
        if found == entry.crc32c {
            return Ok(());
        }
        Err(ImageError::Checksum { file: self.file(&entry.name), expected: entry.crc32c, found })
    }

    /// Compares the contents of a file that was read elsewhere with the manifest. Without a manifest, nothing.
    pub fn verify_sum<M>(&self, name: Name<M>, sums: ChunkSums) -> Result<()> {
        let name = name.to_string();
        let Some(entry) = self.manifest.as_ref().and_then(|m| m.get(&name)) else { return Ok(()) };
        let whole = sums.finish(entry.size);
        let found = whole.ok_or(ImageError::Unfinished { file: self.file(&name) })?;
        self.compare(entry, found)
    }
}

impl AsFd for ImageDir {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Names of what the directory `fd` holds, in ascending order, those that are no UTF-8 left out; `path` is for errors.
pub(super) fn list(fd: &OwnedFd, path: &Path) -> Result<Vec<String>> {
    let error = |e| ImageError::io("list", path, e);
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
    let mut dir = Dir::openat(fd, ".", flags, Mode::empty()).map_err(error)?;
    let mut names = Vec::new();
    for entry in dir.iter() {
        let entry = entry.map_err(error)?;
        if let Ok(name) = entry.file_name().to_str()
            && !matches!(name, "." | "..")
        {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// CRC32C of the first `size` bytes of a file, on all cores.
pub(super) fn checksum(file: &File, size: u64) -> io::Result<u32> {
    let stretches: Vec<u64> = (0..size.div_ceil(STRETCH)).map(|n| n * STRETCH).collect();
    let sums = parallel::map_bytes(&stretches, size, |start| {
        let len = STRETCH.min(size - start);
        sum_range(file, *start, len).map(|sum| (len, sum))
    })?;
    Ok(sums.iter().fold(0, |whole, (len, sum)| combine(whole, *sum, *len)))
}

/// CRC32C of `len` bytes from `start`.
fn sum_range(file: &File, start: u64, len: u64) -> io::Result<u32> {
    let mut buffer = vec![0; len.min(BLOCK as u64) as usize];
    let (mut done, mut sum) = (0, 0);
    while done < len {
        let piece = (len - done).min(BLOCK as u64) as usize;
        file.read_exact_at(&mut buffer[..piece], start + done)?;
        sum = crc32c::crc32c_append(sum, &buffer[..piece]);
        done += piece as u64;
    }
    Ok(sum)
}
