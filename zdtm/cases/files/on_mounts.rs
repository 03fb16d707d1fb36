//! Open files, mappings and the working directory on a tmpfs, a moved bind mount and a read-only one stay on them.
//@ needs: [cap:sys_admin]
//@ routes: [once, thrice, kill-engine]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{fdinfo, read_once, stat, target, write_once};
use crate::tools_memory::{Area, RW, page};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs::{self, File};
use std::path::Path;

pub fn run(gate: &mut Gate) -> Verdict {
    let (tmpfs, bind, fixed) = (gate.path("tmpfs"), gate.path("bind"), gate.path("fixed"));
    for path in [&tmpfs, &bind, &fixed] {
        fs::create_dir(path)?;
    }
    let none = None::<&Path>;
    mount(Some("none"), &tmpfs, Some("tmpfs"), MsFlags::empty(), none)?;
    fs::create_dir(tmpfs.join("sub"))?;
    fs::write(tmpfs.join("sub/file"), vec![b'm'; page()])?;
    mount(Some(&tmpfs.join("sub")), &bind, none, MsFlags::MS_BIND, none)?;
    mount(Some(&tmpfs), &fixed, none, MsFlags::MS_BIND, none)?;
    mount(none, &fixed, none, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, none)?;
    let files = [
        File::options().read(true).write(true).open(tmpfs.join("sub/file"))?,
        File::options().read(true).write(true).open(bind.join("file"))?,
        File::open(fixed.join("sub/file"))?,
    ];
    let area = Area::file(1, RW, libc::MAP_SHARED, &files[1], 0)?;
    std::env::set_current_dir(&bind)?;
    // What is open and the working directory move along.
    let bind = gate.path("moved");
    fs::create_dir(&bind)?;
    mount(Some(&gate.path("bind")), &bind, none, MsFlags::MS_MOVE, none)?;
    let look =
        || files.iter().map(|f| Ok((target(f)?, fdinfo(f, "mnt_id")?, stat(f)?.st_ino))).collect::<Verdict<Vec<_>>>();
    let before = look()?;
    gate.checkpoint()?;
    check_eq("paths, mounts and inodes", look()?, before)?;
    check_eq("the working directory", std::env::current_dir()?, bind.clone())?;
    write_once(&files[0], b"tmpfs!")?;
    check_eq("through the bind mount", read_once(&files[1], 6)?, b"tmpfs!".to_vec())?;
    area.set(0, u64::from_ne_bytes(*b"mapped!!"));
    check_eq("through the read-only mount", read_once(&files[2], 8)?, b"mapped!!".to_vec())?;
    let denied = fs::write(fixed.join("new"), b"").err().and_then(|e| e.raw_os_error());
    check_eq("writing on the read-only mount", denied, Some(libc::EROFS))?;
    check_eq("unmounting what is in use", umount2(&bind, MntFlags::empty()), Err(Errno::EBUSY))?;
    std::env::set_current_dir(gate.dir())?;
    [&fixed, &bind, &tmpfs].into_iter().try_for_each(|path| Ok(umount2(path, MntFlags::MNT_DETACH)?))
}
