//! A deleted fifo, socket and block device that are open by O_PATH alone are still what they were.
//@ needs: [cap:mknod]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{stat, target};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{FileStat, Mode, SFlag, makedev, mknod};

pub fn run(gate: &mut Gate) -> Verdict {
    let kinds = [
        ("fifo", SFlag::S_IFIFO, 0),
        ("socket", SFlag::S_IFSOCK, 0),
        ("block", SFlag::S_IFBLK, makedev(7, 77)),
        ("character", SFlag::S_IFCHR, makedev(10, 200)),
    ];
    let mut files = Vec::new();
    for (name, kind, device) in kinds {
        mknod(&gate.path(name), kind, Mode::from_bits_truncate(0o640), device)?;
        files.push(open(&gate.path(name), OFlag::O_PATH, Mode::empty())?);
        std::fs::remove_file(gate.path(name))?;
    }
    let shown = |s: FileStat| (s.st_mode, s.st_rdev, s.st_nlink, s.st_uid, s.st_mtime, s.st_mtime_nsec);
    let look = || files.iter().map(|file| Ok((target(file)?, shown(stat(file)?)))).collect::<Verdict<Vec<_>>>();
    let before = look()?;
    gate.checkpoint()?;
    check_eq("types, devices, modes, owners, times", look()?, before)
}
