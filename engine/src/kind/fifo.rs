//! A fifo opened by name: its ends, their flags and owners, the bytes in it ([`super::pipe_data`]). Its path is a file
//! of its own in the images, which may be a deleted one.

use super::{BatchCall, Descriptor, DumpContext, Kind, RestoreContext, eventfd::missing, ghost, notice, regfile};
use crate::error::{Error, Result};
use crate::image::proto::{FdTypes, FifoEntry, FileEntry};
use nix::sys::stat::SFlag;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// See the module.
pub struct Fifo;

impl Kind for Fifo {
    fn fd_type(&self) -> FdTypes {
        FdTypes::Fifo
    }

    fn claims(&self, descriptor: &Descriptor) -> bool {
        descriptor.file_type() == SFlag::S_IFIFO && descriptor.link.starts_with(b"/") && !descriptor.is_path()
    }

    fn dump(&self, descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
        cx.check_mount(descriptor)?;
        let pipe_id = cx.fifos.id_of(descriptor);
        cx.fifos.take(pipe_id, descriptor)?;
        cx.fifos.note_end(pipe_id, id, descriptor)?;
        let path = cx.new_id();
        let mut reg = regfile::describe(descriptor, path)?;
        reg.fown = descriptor.owner()?;
        ghost::dump(descriptor, &mut reg, cx)?;
        let reg = FileEntry { r#type: FdTypes::Reg as i32, id: path, reg: Some(reg), ..FileEntry::default() };
        cx.more.push(reg);
        let fifo = FifoEntry { id, pipe_id, regf_id: Some(path) };
        Ok(FileEntry { r#type: FdTypes::Fifo as i32, id, fifo: Some(fifo), ..FileEntry::default() })
    }

    fn needs(&self, entry: &FileEntry) -> Vec<u32> {
        entry.fifo.iter().filter_map(|fifo| fifo.regf_id).collect()
    }

    fn restore(&self, entry: &FileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
        let Some(fifo) = &entry.fifo else { return Err(missing(entry, "fifo")) };
        let path = fifo.regf_id.unwrap_or(fifo.id);
        let reg = cx.files.get(&path).and_then(|file| file.reg.as_ref());
        let (Some(reg), Some(file)) = (reg, cx.open.get(&path).map(Arc::clone)) else {
            return Err(Error::state(format!("fifo {} of the images has no path: it names file {path}", entry.id)));
        };
        let end = cx.fifos.end_of(fifo, file.as_fd(), reg.flags)?;
        cx.set_owner(end.as_fd(), &reg.fown)?;
        Ok(end)
    }

    fn attach(&self, entry: &FileEntry, fd: i32, files: &HashMap<u32, FileEntry>) -> Vec<BatchCall> {
        let path = entry.fifo.as_ref().and_then(|fifo| files.get(&fifo.regf_id?));
        path.and_then(|file| file.reg.as_ref()).iter().flat_map(|reg| notice(reg.flags, fd)).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::kind::tests::{descriptor, dump, options, restore};
    use crate::options::RestoreOptions;
    use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::sys::stat::Mode;
    use nix::unistd::{mkfifo, read, write};
    use std::os::fd::{AsFd, OwnedFd};
    use std::path::Path;

    fn opened(path: &Path, flags: OFlag) -> OwnedFd {
        open(path, flags | OFlag::O_CLOEXEC, Mode::empty()).unwrap()
    }

    fn events(fd: &OwnedFd) -> PollFlags {
        let mut polled = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
        poll(&mut polled, PollTimeout::ZERO).unwrap();
        polled[0].revents().unwrap()
    }

    #[test]
    fn fifos_come_back_with_ends_data_and_capacity() {
        for deleted in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("fifo");
            mkfifo(&path, Mode::from_bits_truncate(0o620)).unwrap();
            let both = opened(&path, OFlag::O_RDWR);
            fcntl(&both, FcntlArg::F_SETPIPE_SZ(1 << 17)).unwrap();
            let ends = [opened(&path, OFlag::O_WRONLY), opened(&path, OFlag::O_RDONLY | OFlag::O_NONBLOCK), both];
            let bytes = vec![b'f'; 100_000];
            let writer = opened(&path, OFlag::O_WRONLY);
            write(&writer, &bytes).unwrap();
            drop(writer);
            let inode = std::fs::metadata(&path).unwrap();
            if deleted {
                std::fs::remove_file(&path).unwrap();
            }
            let ends = ends.map(descriptor);
            let dumped = dump(&options(false), &ends).unwrap();
            let before: Vec<_> = ends.iter().map(|d| (d.link.clone(), d.info.flags, d.stat.st_mode)).collect();
            drop(ends);
            restore(&dumped, &RestoreOptions::default(), |cx, ends| {
                cx.close();
                let after: Vec<_> = ends.iter().map(|d| (d.link.clone(), d.info.flags, d.stat.st_mode)).collect();
                assert_eq!(after, before);
                let same = ends[0].stat.st_ino == std::os::unix::fs::MetadataExt::ino(&inode);
                assert!(same || deleted, "it is the very fifo");
                assert_eq!(fcntl(&ends[0].copy, FcntlArg::F_GETPIPE_SZ), Ok(1 << 17));
                let mut buffer = vec![0; 200_000];
                assert_eq!(read(&ends[1].copy, &mut buffer), Ok(100_000));
                assert_eq!(buffer[..100_000], bytes);
            })
            .unwrap();
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), usize::from(!deleted));
        }
    }

    #[test]
    fn a_reader_knows_whether_there_was_a_writer() {
        let dir = tempfile::tempdir().unwrap();
        let reader = |name: &str| {
            mkfifo(&dir.path().join(name), Mode::from_bits_truncate(0o600)).unwrap();
            opened(&dir.path().join(name), OFlag::O_RDONLY | OFlag::O_NONBLOCK)
        };
        let ends = [reader("never"), reader("left")];
        drop(opened(&dir.path().join("left"), OFlag::O_WRONLY));
        let before = ends.each_ref().map(events);
        assert_eq!(before, [PollFlags::empty(), PollFlags::POLLHUP]);
        let dumped = dump(&options(false), &ends.map(descriptor)).unwrap();
        restore(&dumped, &RestoreOptions::default(), |cx, ends| {
            cx.close();
            assert_eq!([events(&ends[0].copy), events(&ends[1].copy)], before);
        })
        .unwrap();
    }
}
