//! Watches of a file on a tmpfs, of files of /proc and /sys, which have no handles that lead back, of a device, a symbolic
//! link itself, a fifo and the root of a mount.
//@ routes: [once, thrice, kill-engine]
//@ needs: [kernel:inotify]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_watch::{add, events, inotify, watches};
use libc::{IN_ATTRIB, IN_DONT_FOLLOW, IN_OPEN};
use nix::sys::stat::Mode;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

pub fn run(gate: &mut Gate) -> Verdict {
    let notices = inotify()?;
    // A name of this run alone: others are on the same tmpfs, with the same pids.
    let shm = PathBuf::from(format!("/dev/shm/zdtm-inotify-{}", fs::metadata(gate.dir())?.ino()));
    fs::write(&shm, b"")?;
    std::os::unix::fs::symlink("nowhere", gate.path("link"))?;
    nix::unistd::mkfifo(&gate.path("fifo"), Mode::from_bits_truncate(0o600))?;
    let own = PathBuf::from(format!("/proc/{}/status", std::process::id()));
    let paths =
        [shm.clone(), own, "/proc/version".into(), "/sys/kernel/mm".into(), "/dev/full".into(), "/dev/shm".into()];
    let mut numbers = Vec::new();
    for path in &paths {
        numbers.push(add(&notices, path, IN_OPEN)?);
    }
    add(&notices, &gate.path("fifo"), IN_ATTRIB)?;
    let link = add(&notices, &gate.path("link"), IN_ATTRIB | IN_DONT_FOLLOW)?;
    let before = watches(&notices)?;
    gate.checkpoint()?;
    // Others open files there too.
    events(&notices)?;
    check_eq("the watches", watches(&notices)?, before)?;
    for (path, number) in paths.iter().zip(numbers) {
        File::open(path)?;
        let noticed = events(&notices)?.iter().any(|(watch, mask, _)| *watch == number && mask & IN_OPEN != 0);
        check_eq(&format!("opening {}", path.display()), noticed, true)?;
    }
    let owner = Some(nix::unistd::Uid::from_raw(0));
    nix::unistd::fchownat(
        nix::fcntl::AT_FDCWD,
        &gate.path("link"),
        owner,
        None,
        nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
    )?;
    check_eq("the link's owner", events(&notices)?.contains(&(link, IN_ATTRIB, String::new())), true)?;
    Ok(fs::remove_file(&shm)?)
}
