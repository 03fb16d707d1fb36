//! Probes of open files, mounts and namespaces. What mounts or unshares does so in a child.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg, OFlag, OpenHow, ResolveFlag};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};

use super::{Answer, Because, unless};
use crate::sys::probe::{self, Area, in_child, page_size};

/// What /proc says about one of our descriptors.
fn fdinfo(fd: &impl AsRawFd) -> Result<String, String> {
    let path = format!("/proc/self/fdinfo/{}", fd.as_raw_fd());
    fs::read_to_string(&path).because(&path)
}

fn has_line(text: &str, name: &str) -> Answer {
    unless(text.lines().any(|line| line.starts_with(name)), &format!("fdinfo has no line {name}"))
}

pub(super) fn mnt_id() -> Answer {
    let file = File::open("/proc/self/status").because("/proc/self/status")?;
    has_line(&fdinfo(&file)?, "mnt_id:")
}

pub(super) fn fdinfo_lock() -> Answer {
    let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
    let memfd = nix::sys::memfd::memfd_create(c"stasis-probe", flags).because("memfd_create")?;
    let locked =
        Flock::lock(File::from(memfd), FlockArg::LockExclusiveNonblock).map_err(|(_, e)| e).because("flock")?;
    has_line(&fdinfo(&*locked)?, "lock:")
}

pub(super) fn timerfd() -> Answer {
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC).because("timerfd_create")?;
    has_line(&fdinfo(&timer.as_fd())?, "ticks:")?;
    crate::sys::event::set_ticks(timer.as_fd(), 1).because("TFD_IOC_SET_TICKS")
}

pub(super) fn openat2() -> Answer {
    let root = File::open("/proc/self").because("/proc/self")?;
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    nix::fcntl::openat2(&root, "/../status", how).because("openat2 with RESOLVE_IN_ROOT").map(drop)
}

pub(super) fn close_range() -> Answer {
    probe::close_no_range().because("close_range")
}

/// A cgroup made below our own has a freezer.
pub(super) fn cgroup_freezer() -> Answer {
    let mounts = fs::read_to_string("/proc/self/mountinfo").because("/proc/self/mountinfo")?;
    let mounted = mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        right.starts_with("cgroup2 ").then(|| left.split(' ').nth(4).map(PathBuf::from))?
    });
    let mounted = mounted.ok_or("no cgroup2 file system is mounted")?;
    let own = fs::read_to_string("/proc/self/cgroup").because("/proc/self/cgroup")?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let probe = mounted.join(own).join(format!("stasis-probe-{}", std::process::id()));
    fs::create_dir(&probe).because(&format!("mkdir {}", probe.display()))?;
    let there = probe.join("cgroup.freeze").exists();
    fs::remove_dir(&probe).because(&format!("rmdir {}", probe.display()))?;
    unless(there, "cgroups have no cgroup.freeze")
}

fn can_unshare(flags: CloneFlags) -> Answer {
    in_child(|| unshare(flags).because("unshare"))
}

pub(super) fn userns() -> Answer {
    can_unshare(CloneFlags::CLONE_NEWUSER)
}

pub(super) fn cgroupns() -> Answer {
    can_unshare(CloneFlags::CLONE_NEWCGROUP)
}

pub(super) fn timens() -> Answer {
    const CLONE_NEWTIME: i32 = 0x80;
    can_unshare(CloneFlags::from_bits_retain(CLONE_NEWTIME))
}

/// Gives the (child) process mounts of its own and an empty tmpfs to work in.
fn own_mounts() -> Result<&'static Path, String> {
    unshare(CloneFlags::CLONE_NEWNS).because("unshare of the mount namespace")?;
    let nothing: Option<&str> = None;
    mount(nothing, "/", nothing, MsFlags::MS_PRIVATE | MsFlags::MS_REC, nothing).because("mount --make-rprivate")?;
    let place = Path::new("/tmp");
    mount(Some("tmpfs"), place, Some("tmpfs"), MsFlags::empty(), nothing).because("mount of a tmpfs on /tmp")?;
    Ok(place)
}

pub(super) fn set_group() -> Answer {
    in_child(|| {
        let place = own_mounts()?;
        let nothing: Option<&str> = None;
        let (from, to) = (place.join("from"), place.join("to"));
        fs::create_dir(&from).because("mkdir")?;
        fs::create_dir(&to).because("mkdir")?;
        mount(Some("tmpfs"), &from, Some("tmpfs"), MsFlags::empty(), nothing).because("mount of a tmpfs")?;
        mount(Some(&from), &to, nothing, MsFlags::MS_BIND, nothing).because("bind mount")?;
        mount(nothing, &from, nothing, MsFlags::MS_SHARED, nothing).because("mount --make-shared")?;
        let open = |path: &Path| nix::fcntl::open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty());
        let (from, to): (OwnedFd, OwnedFd) = (open(&from).because("open")?, open(&to).because("open")?);
        probe::set_mount_group(from.as_fd(), to.as_fd()).because("MOVE_MOUNT_SET_GROUP")
    })
}

pub(super) fn autofs() -> Answer {
    in_child(|| {
        let place = own_mounts()?;
        let (_reader, writer) = nix::unistd::pipe().because("pipe")?;
        let group = nix::unistd::getpgrp();
        let options = format!("fd={},pgrp={group},minproto=5,maxproto=5,direct", writer.as_raw_fd());
        mount(Some("stasis-probe"), place, Some("autofs"), MsFlags::empty(), Some(options.as_str()))
            .because("mount of an autofs")?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").because("/proc/self/mountinfo")?;
        unless(mounts.contains("pipe_ino="), "mountinfo does not show the pipe of an autofs")
    })
}

/// The maps of a process must name the file of the overlay, not that of the layer below.
pub(super) fn overlayfs_maps() -> Answer {
    in_child(|| {
        let place = own_mounts()?;
        for name in ["a", "b", "merged"] {
            fs::create_dir(place.join(name)).because("mkdir")?;
        }
        fs::write(place.join("a/file"), "text").because("write")?;
        let options = "lowerdir=/tmp/a:/tmp/b";
        mount(Some("stasis-probe"), &place.join("merged"), Some("overlay"), MsFlags::empty(), Some(options))
            .because("mount of an overlay")?;
        let file = File::open(place.join("merged/file")).because("open")?;
        let shown = file.metadata().because("fstat")?;
        let area = Area::of_file(&file, page_size()).because("mmap")?;
        let maps = fs::read_to_string("/proc/self/maps").because("/proc/self/maps")?;
        let start = format!("{:x}-", area.address());
        let line = maps.lines().find(|line| line.starts_with(&start)).ok_or("the mapping is not in the maps")?;
        let mut fields = line.split_whitespace().skip(3);
        let (major, minor) = (nix::sys::stat::major(shown.dev()), nix::sys::stat::minor(shown.dev()));
        let device = fields.next() == Some(format!("{major:02x}:{minor:02x}").as_str());
        let inode = fields.next() == Some(shown.ino().to_string().as_str());
        unless(device && inode, &format!("the maps show another file than fstat: {line}"))
    })
}

pub(super) fn apparmor_stacking() -> Answer {
    let path = "/sys/kernel/security/apparmor/features/domain/stack";
    let answer = fs::read_to_string(path).because(path)?;
    unless(answer.trim() == "yes", &format!("{path} says {}", answer.trim()))
}
