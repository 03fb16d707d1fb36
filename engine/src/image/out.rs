//! A new image directory: files are written as they come, the manifest last. Dropped before it is to be kept, it takes
//! away what it wrote.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, fsync, unlinkat};
use prost::Message;
use rayon::prelude::*;

use super::dir::{ImageDir, list};
use super::error::{ImageError, Result};
use super::framing::{MAX_ENTRY, Order, push_entry, push_head};
use super::kinds::{self, Kind, Name};
use super::manifest::{self, Manifest, ManifestHead};
use super::proto::StasisManifestFile;
use crate::fault;

/// Bytes that a writer gathers before it writes: most files are written by one call.
const GATHER: usize = 1 << 20;

/// Size and checksum of a finished file, `None` while it is written.
type Sums = BTreeMap<String, Option<(u64, u32)>>;

/// A directory that a dump writes. Threads may write different files at a time.
///
/// From its creation until [`NewImageDir::complete`] the directory is recognised as incomplete; a manifest of an
/// earlier dump is removed first.
#[derive(Debug)]
pub struct NewImageDir {
    fd: OwnedFd,
    path: PathBuf,
    sync: bool,
    /// The manifest is there.
    complete: bool,
    /// What was written stays.
    kept: bool,
    sums: Mutex<Sums>,
    /// Files that were made and are still empty.
    reserved: Mutex<HashSet<String>>,
    /// Held until this dump has ended or taken away what it wrote; none where the file system has no locks.
    _lock: Option<Flock<File>>,
}

impl NewImageDir {
    /// Begins a dump into the existing directory at `path`. With `sync` all is on disk when it is complete.
    pub fn create(path: &Path, sync: bool) -> Result<Self> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
        let fd = open(path, flags, Mode::empty()).map_err(|e| ImageError::io("open", path, e))?;
        Self::from_fd(fd, path, sync)
    }

    /// As [`NewImageDir::create`], with the directory's descriptor; `path` is its name in errors.
    pub fn from_fd(fd: OwnedFd, path: &Path, sync: bool) -> Result<Self> {
        let lock = lock(&fd, path)?;
        let dir = Self {
            fd,
            path: path.to_path_buf(),
            sync,
            complete: false,
            kept: false,
            sums: Mutex::default(),
            reserved: Mutex::default(),
            _lock: lock,
        };
        // the mark comes before the old manifest goes: at every instant one of the two tells the truth
        dir.open_new(manifest::UNFINISHED)?;
        match unlinkat(&dir.fd, manifest::NAME, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(dir),
            Err(e) => Err(ImageError::io("remove", dir.file(manifest::NAME), e)),
        }
    }

    /// Its path as the user gave it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file, for errors.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Makes a file that will be written later: making thousands takes a file system longer than filling them.
    pub fn reserve(&self, name: &str) -> Result<()> {
        if self.sums().contains_key(name) {
            return Ok(());
        }
        self.sums().insert(name.to_owned(), None);
        self.open_new(name)?;
        self.reserved().insert(name.to_owned());
        Ok(())
    }

    fn reserved(&self) -> MutexGuard<'_, HashSet<String>> {
        self.reserved.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn open_new(&self, name: &str) -> Result<File> {
        if self.reserved().remove(name) {
            let flags = OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let fd = openat(&self.fd, name, flags, Mode::empty());
            return fd.map(File::from).map_err(|e| ImageError::io("open", self.file(name), e));
        }
        fault::errno("create a file").map_err(|e| ImageError::io("create", self.file(name), e))?;
        // O_EXCL: whatever lies there already (a link, a device) is not written through; images hold memory, so they
        // are for the owner's eyes only
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let make = || openat(&self.fd, name, flags, Mode::S_IRUSR | Mode::S_IWUSR);
        let fd = make().or_else(|e| match e {
            Errno::EEXIST => unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir).and_then(|()| make()),
            other => Err(other),
        });
        fd.map(File::from).map_err(|e| ImageError::io("create", self.file(name), e))
    }

    /// Begins a file of entries.
    pub fn writer<M: Message>(&self, name: Name<M>) -> Writer<'_, M> {
        let file = name.to_string();
        self.sums().insert(file.clone(), None);
        let mut buffer = Vec::new();
        push_head(&mut buffer, name.kind, Order::NATIVE);
        Writer { dir: self, name: file, kind: name.kind, buffer, file: None, size: 0, crc: 0, message: PhantomData }
    }

    /// Writes a file of one entry.
    pub fn write_one<M: Message>(&self, name: Name<M>, entry: &M) -> Result<()> {
        self.write_all(name, std::slice::from_ref(entry))
    }

    /// Writes a file of entries without payloads.
    pub fn write_all<M: Message>(&self, name: Name<M>, entries: &[M]) -> Result<()> {
        let mut writer = self.writer(name);
        entries.iter().try_for_each(|entry| writer.entry(entry))?;
        writer.finish()
    }

    /// Makes a file without head and entries, to be written at will, then told to [`NewImageDir::finish_raw`].
    pub fn create_raw(&self, name: Name<()>) -> Result<File> {
        let name = name.to_string();
        self.sums().insert(name.clone(), None);
        self.open_new(&name)
    }

    /// Notes that a raw file is complete, with its size in bytes and the CRC32C of all of it
    /// ([`super::ChunkSums`] makes it from pieces).
    pub fn finish_raw(&self, name: Name<()>, size: u64, crc: u32) {
        self.sums().insert(name.to_string(), Some((size, crc)));
    }

    /// The one entry of a file that was written before.
    pub fn read_one<M: Message + prost::Name + Default>(&self, name: Name<M>) -> Result<M> {
        let fd = self.fd.try_clone().map_err(|e| ImageError::io("open", &self.path, e))?;
        ImageDir::unfinished(fd, &self.path).read_one(name)
    }

    /// Completes the dump, and keeps it.
    pub fn seal(mut self, head: &ManifestHead) -> Result<Manifest> {
        let manifest = self.complete(head)?;
        self.keep();
        Ok(manifest)
    }

    /// Completes the dump: syncs all files if asked to, then writes the manifest and renames it into place.
    pub fn complete(&mut self, head: &ManifestHead) -> Result<Manifest> {
        let files = self.finished()?;
        if self.sync {
            files.par_iter().try_for_each(|file| self.sync_file(&file.name))?;
            self.sync_dir()?;
        }
        let manifest = Manifest::new(head, files);
        put_manifest(self, &manifest, self.sync)?;
        self.complete = true;
        Ok(manifest)
    }

    /// Makes a complete dump an unfinished one, whose files can be written anew: the manifest is the mark again.
    pub fn withdraw(&mut self) -> Result<()> {
        let renamed = renameat(&self.fd, manifest::NAME, &self.fd, manifest::UNFINISHED);
        renamed.map_err(|e| ImageError::io("rename", self.file(manifest::NAME), e))?;
        self.complete = false;
        Ok(())
    }

    /// Lets what was written stay.
    pub fn keep(mut self) {
        self.kept = true;
    }

    fn finished(&self) -> Result<Vec<StasisManifestFile>> {
        let file = |(name, sums): (&String, &Option<(u64, u32)>)| match *sums {
            Some((size, crc32c)) => Ok(StasisManifestFile { name: name.clone(), size, crc32c }),
            None => Err(ImageError::Unfinished { file: self.file(name) }),
        };
        self.sums().iter().map(file).collect()
    }

    fn sync_file(&self, name: &str) -> Result<()> {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let file = openat(&self.fd, name, flags, Mode::empty());
        file.and_then(fsync).map_err(|e| ImageError::io("sync", self.file(name), e))
    }

    fn sync_dir(&self) -> Result<()> {
        fault::errno("sync the directory").map_err(|e| ImageError::io("sync", &self.path, e))?;
        fsync(&self.fd).map_err(|e| ImageError::io("sync", &self.path, e))
    }
}

/// A directory that is not to be kept takes its files away again; what cannot be removed stays marked as incomplete.
impl Drop for NewImageDir {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if self.complete {
            let _ = self.withdraw();
        }
        let remove = |name: &str| unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir);
        for name in self.sums().keys() {
            let _ = remove(name);
        }
        // what is left of an earlier dump must not pass for another engine's: then the mark stays
        let image = |name: &String| kinds::by_file_name(name).is_some();
        if list(&self.fd, &self.path).is_ok_and(|left| !left.iter().any(image)) {
            let _ = remove(manifest::UNFINISHED);
        }
    }
}

/// Writes a manifest under its temporary name and renames it: it is there whole or not at all.
fn put_manifest(dir: &NewImageDir, manifest: &Manifest, sync: bool) -> Result<()> {
    let name = manifest::UNFINISHED;
    let bytes = manifest.encode().ok_or_else(|| ImageError::invalid(dir.file(name), 0, "too many files"))?;
    // The mark itself becomes the manifest: without it for an instant, a dump killed then would bear none.
    let flags = OFlag::O_WRONLY | OFlag::O_TRUNC | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut file = match openat(&dir.fd, name, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(_) => dir.open_new(name)?,
    };
    file.write_all(&bytes).map_err(|e| ImageError::io("write", dir.file(name), e))?;
    if sync {
        file.sync_all().map_err(|e| ImageError::io("sync", dir.file(name), e))?;
    }
    close(file).map_err(|e| ImageError::io("write", dir.file(name), e))?;
    fault::errno("name the manifest").map_err(|e| ImageError::io("rename", dir.file(name), e))?;
    let renamed = renameat(&dir.fd, name, &dir.fd, manifest::NAME);
    renamed.map_err(|e| ImageError::io("rename", dir.file(name), e))?;
    if !sync {
        return Ok(());
    }
    // The dump failed, so the directory must not look complete.
    dir.sync_dir().inspect_err(|_| {
        let _ = unlinkat(&dir.fd, manifest::NAME, UnlinkatFlags::NoRemoveDir);
    })
}

/// Waits until no other dump writes into this directory, not even one that was given up and is cleaning up.
fn lock(fd: &OwnedFd, path: &Path) -> Result<Option<Flock<File>>> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let started = Instant::now();
    let mut file = File::from(fd.try_clone().map_err(|e| ImageError::io("open", path, e))?);
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Some(lock)),
            Err((back, Errno::EWOULDBLOCK)) if started.elapsed() < PATIENCE => file = back,
            Err((_, e @ Errno::EWOULDBLOCK)) => return Err(ImageError::io("lock", path, e)),
            Err(_) => return Ok(None),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Takes away what a dump that was killed left in the directory at `path`: if it is marked as incomplete and nobody
/// writes into it, the mark and the images written at `since` or later. Returns whether there was anything.
pub fn sweep(path: &Path, since: SystemTime) -> Result<bool> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
    let fd = open(path, flags, Mode::empty()).map_err(|e| ImageError::io("open", path, e))?;
    let file = File::from(fd.try_clone().map_err(|e| ImageError::io("open", path, e))?);
    let Ok(_lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { return Ok(false) };
    let names = list(&fd, path)?;
    if !names.iter().any(|name| name == manifest::UNFINISHED) {
        return Ok(false);
    }
    let (mark, images): (Vec<_>, Vec<_>) = names
        .into_iter()
        .filter(|name| name == manifest::UNFINISHED || kinds::by_file_name(name).is_some())
        .partition(|name| name == manifest::UNFINISHED);
    let new = |name: &String| {
        let modified = std::fs::symlink_metadata(path.join(name)).and_then(|meta| meta.modified());
        modified.is_ok_and(|at| at >= since)
    };
    let (ours, others): (Vec<_>, Vec<_>) = images.into_iter().partition(new);
    // Images of an earlier dump among which some of this one were must not pass for another engine's: the mark stays.
    let marks = mark.into_iter().filter(|mark| others.is_empty() && new(mark));
    for name in ours.into_iter().chain(marks) {
        let gone = unlinkat(&fd, name.as_str(), UnlinkatFlags::NoRemoveDir);
        gone.map_err(|e| ImageError::io("remove", path.join(&name), e))?;
    }
    Ok(true)
}

/// Writes the manifest of a directory anew, after a tool changed its files on purpose.
pub fn reseal(path: &Path) -> Result<Manifest> {
    let dir = ImageDir::open(path)?;
    let Some(manifest) = dir.manifest() else { return Err(ImageError::Missing { file: dir.file(manifest::NAME) }) };
    let manifest = manifest.renewed(&dir)?;
    let fd = dir.as_fd().try_clone_to_owned().map_err(|e| ImageError::io("open", path, e))?;
    let (sums, reserved) = (Mutex::default(), Mutex::default());
    let path = path.to_path_buf();
    let out = NewImageDir { fd, path, sync: false, complete: true, kept: true, sums, reserved, _lock: None };
    put_manifest(&out, &manifest, false)?;
    Ok(manifest)
}

/// Network file systems tell of a full disk only here.
fn close(file: File) -> io::Result<()> {
    Ok(nix::unistd::close(OwnedFd::from(file))?)
}

/// Writes one file of entries. Small files cost one open, one write and one close. Payload is written through
/// [`io::Write`] after its entry. Until [`Writer::finish`] the file counts as unfinished.
#[derive(Debug)]
pub struct Writer<'d, M> {
    dir: &'d NewImageDir,
    name: String,
    kind: &'static Kind,
    buffer: Vec<u8>,
    file: Option<File>,
    size: u64,
    crc: u32,
    message: PhantomData<fn(M)>,
}

impl<M: Message> Writer<'_, M> {
    /// Appends an entry.
    pub fn entry(&mut self, entry: &M) -> Result<()> {
        self.other(entry)
    }

    /// Appends an entry of another message: the head of a page map, a piece of a ghost file.
    pub fn other(&mut self, entry: &impl Message) -> Result<()> {
        if !push_entry(&mut self.buffer, entry, Order::NATIVE) {
            let what = format!("a {} entry is longer than {MAX_ENTRY} bytes", self.kind.magic);
            return Err(ImageError::invalid(self.dir.file(&self.name), self.offset(), what));
        }
        if self.buffer.len() >= GATHER { self.spill() } else { Ok(()) }
    }

    /// Appends payload.
    pub fn payload(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= GATHER { self.spill() } else { Ok(()) }
    }

    /// Bytes appended so far.
    pub fn offset(&self) -> u64 {
        self.size + self.buffer.len() as u64
    }

    /// Completes the file.
    pub fn finish(mut self) -> Result<()> {
        self.spill()?;
        fault::errno("finish a file").map_err(|e| ImageError::io("write", self.dir.file(&self.name), e))?;
        if let Some(file) = self.file.take() {
            close(file).map_err(|e| ImageError::io("write", self.dir.file(&self.name), e))?;
        }
        self.dir.sums().insert(std::mem::take(&mut self.name), Some((self.size, self.crc)));
        Ok(())
    }

    /// Writes what was gathered.
    fn spill(&mut self) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(self.dir.open_new(&self.name)?),
        };
        file.write_all(&self.buffer).map_err(|e| ImageError::io("write", self.dir.file(&self.name), e))?;
        self.crc = crc32c::crc32c_append(self.crc, &self.buffer);
        self.size += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// Payload, from whatever copies into a writer.
impl<M: Message> Write for Writer<'_, M> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.payload(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
