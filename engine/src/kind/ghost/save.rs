//! A deleted file in the images: what its inode says, its data without the holes, its extended attributes.

use super::super::{Descriptor, pipe_data::reopen_to_read};
use super::Ghosts;
use crate::error::{Doing, Error, Result};
use crate::image::proto::{GhostChunkEntry, GhostFileEntry, StasisGhostEntry, StasisXattr, Timeval};
use crate::image::{NewImageDir, Writer, kinds};
use crate::options::DumpOptions;
use crate::sys::{self, Errno};
use nix::sys::stat::{FileStat, SFlag, major, minor};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;

/// A deleted file without a name.
#[derive(Debug)]
pub(super) struct Ghost {
    id: u32,
    entry: GhostFileEntry,
    more: StasisGhostEntry,
    data: Option<Data>,
    what: String,
}

/// The data of a regular file.
#[derive(Debug)]
struct Data {
    file: File,
    /// First byte and the byte past the last of each stretch, ascending.
    runs: Vec<(u64, u64)>,
}

impl Ghost {
    /// Describes the file, whose data is read later.
    pub(super) fn new(id: u32, descriptor: &Descriptor, options: &DumpOptions) -> Result<Ghost> {
        let stat = &descriptor.stat;
        let doing = || format!("look at {}", descriptor.describe());
        let xattrs = sys::file::xattrs(descriptor.copy.as_fd()).doing(doing)?;
        let more = StasisGhostEntry {
            id,
            atime_nsec: Some(stat.st_atime_nsec as u32).filter(|n| *n != 0),
            mtime_nsec: Some(stat.st_mtime_nsec as u32).filter(|n| *n != 0),
            xattrs: xattrs.into_iter().map(|(name, value)| StasisXattr { name, value }).collect(),
        };
        let kind = descriptor.file_type();
        let mut entry = describe(stat);
        let mut data = None;
        if kind == SFlag::S_IFLNK {
            let target = nix::fcntl::readlinkat(&descriptor.copy, "").doing(doing)?;
            entry.symlnk_target = Some(target.into_vec());
        }
        if kind == SFlag::S_IFREG {
            let found = Data::find(descriptor, options)?;
            let size = stat.st_size as u64;
            if size > 0 && found.runs != [(0, size)] {
                (entry.chunks, entry.size) = (Some(true), Some(size));
            }
            data = Some(found);
        }
        Ok(Ghost { id, entry, more, data, what: descriptor.describe() })
    }

    fn write(&self, out: &NewImageDir) -> Result<()> {
        let mut writer = out.writer(kinds::GHOST_FILE.of(self.id));
        writer.entry(&self.entry)?;
        let chunks = self.entry.chunks();
        for (start, end) in self.data.iter().flat_map(|data| &data.runs) {
            if chunks {
                writer.other(&GhostChunkEntry { len: end - start, off: *start })?;
            }
            self.copy(*start, *end, &mut writer)?;
        }
        Ok(writer.finish()?)
    }

    fn copy(&self, start: u64, end: u64, writer: &mut Writer<'_, GhostFileEntry>) -> Result<()> {
        const AT_ONCE: u64 = 256 << 10;
        let Some(data) = &self.data else { return Ok(()) };
        let mut buffer = vec![0; (end - start).min(AT_ONCE) as usize];
        let mut at = start;
        while at < end {
            let part = &mut buffer[..(end - at).min(AT_ONCE) as usize];
            data.file.read_exact_at(part, at).doing(|| format!("read {}", self.what))?;
            writer.payload(part)?;
            at += part.len() as u64;
        }
        Ok(())
    }
}

fn describe(stat: &FileStat) -> GhostFileEntry {
    let device = matches!(SFlag::from_bits_truncate(stat.st_mode & libc::S_IFMT), SFlag::S_IFCHR | SFlag::S_IFBLK);
    let time = |sec: i64, nsec: i64| Timeval { tv_sec: sec as u64, tv_usec: nsec as u64 / 1000 };
    GhostFileEntry {
        uid: stat.st_uid,
        gid: stat.st_gid,
        mode: stat.st_mode,
        dev: Some((major(stat.st_dev) << 20 | minor(stat.st_dev)) as u32),
        ino: Some(stat.st_ino),
        // mknod's encoding has 32 bits in the kernel.
        rdev: device.then_some(stat.st_rdev as u32),
        atim: Some(time(stat.st_atime, stat.st_atime_nsec)),
        mtim: Some(time(stat.st_mtime, stat.st_mtime_nsec)),
        chunks: None,
        size: None,
        symlnk_target: None,
    }
}

impl Data {
    fn find(descriptor: &Descriptor, options: &DumpOptions) -> Result<Data> {
        let doing = || format!("look for the data of {}", descriptor.describe());
        let copy = descriptor.copy.as_fd();
        let file = File::from(reopen_to_read(copy).doing(doing)?);
        let size = descriptor.stat.st_size as u64;
        let mapped = options.ghost_fiemap.then(|| sys::file::extents(file.as_fd(), size));
        let runs = match mapped {
            Some(Ok(runs)) => runs,
            // A file system without such maps, like tmpfs.
            Some(Err(Errno::EOPNOTSUPP | Errno::ENOTTY)) | None => runs(&file, size).doing(doing)?,
            Some(Err(e)) => return Err(e).doing(doing),
        };
        let bytes: u64 = runs.iter().map(|(start, end)| end - start).sum();
        let limit = options.ghost_limit.bytes();
        if bytes > limit {
            let reason =
                format!("it is deleted and holds {bytes} bytes, more than the {limit} that --ghost-limit allows");
            return Err(Error::unsupported(descriptor.describe(), reason)
                .with_help(format!("use --ghost-limit {bytes} or more")));
        }
        Ok(Data { file, runs })
    }
}

/// The stretches of a file that are no holes.
fn runs(file: &File, size: u64) -> sys::Result<Vec<(u64, u64)>> {
    let mut runs = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match sys::file::seek_data(file.as_fd(), at) {
            Ok(Some(start)) => start,
            Ok(None) => break,
            Err(Errno::EINVAL | Errno::EOPNOTSUPP) => at,
            Err(e) => return Err(e),
        };
        let end = match sys::file::seek_hole(file.as_fd(), start) {
            Ok(end) => end.unwrap_or(size).min(size),
            Err(Errno::EINVAL | Errno::EOPNOTSUPP) => size,
            Err(e) => return Err(e),
        };
        if end <= start {
            break;
        }
        runs.push((start, end));
        at = end;
    }
    Ok(runs)
}

impl Ghosts {
    /// Writes the saved files, and which files are found where.
    pub fn write(&self, out: &NewImageDir) -> Result<()> {
        if !self.remaps.is_empty() {
            out.write_all(kinds::REMAP_FPATH.single(), &self.remaps)?;
        }
        self.ghosts.iter().try_for_each(|ghost| ghost.write(out))?;
        let bare = |more: &StasisGhostEntry| *more == StasisGhostEntry { id: more.id, ..StasisGhostEntry::default() };
        let more: Vec<_> = self.ghosts.iter().map(|ghost| ghost.more.clone()).filter(|more| !bare(more)).collect();
        if !more.is_empty() {
            out.write_all(kinds::STASIS_GHOST.single(), &more)?;
        }
        let handles = self.handles();
        if !handles.is_empty() {
            out.write_all(kinds::STASIS_LINK.single(), &handles)?;
        }
        Ok(())
    }
}
