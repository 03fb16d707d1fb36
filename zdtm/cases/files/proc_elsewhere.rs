//! Files of a /proc that is mounted in another place, and of one that is bound there, are still about the process.
//@ needs: [cap:sys_admin]
//@ routes: [once, thrice, kill-engine]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_files::{fdinfo, read_once, target};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{Whence, lseek};
use std::fs::{self, File};
use std::path::Path;

pub fn run(gate: &mut Gate) -> Verdict {
    let me = std::process::id();
    let (own, bound) = (gate.path("own"), gate.path("bound"));
    let none = None::<&Path>;
    [&own, &bound].into_iter().try_for_each(fs::create_dir)?;
    mount(Some("none"), &own, Some("proc"), MsFlags::empty(), none)?;
    mount(Some("/proc"), &bound, none, MsFlags::MS_BIND, none)?;
    let mut files = Vec::new();
    for place in [&own, &bound] {
        files.push(File::open(place.join("self/status"))?);
        files.push(File::open(place.join(format!("self/task/{me}/status")))?);
    }
    let directory = File::open(bound.join("self/fdinfo"))?;
    let look = || files.iter().map(|f| Ok((target(f)?, fdinfo(f, "mnt_id")?))).collect::<Verdict<Vec<_>>>();
    let before = look()?;
    gate.checkpoint()?;
    check_eq("paths and mounts", look()?, before)?;
    for file in &files {
        lseek(file, 0, Whence::SeekSet)?;
        let text = String::from_utf8_lossy(&read_once(file, 1 << 16)?).into_owned();
        check("the status is this process's", text.contains(&format!("\nPid:\t{me}\n")))?;
    }
    check_eq("the directory's path", target(&directory)?, bound.join(format!("{me}/fdinfo")))?;
    drop((files, directory));
    [&own, &bound].into_iter().try_for_each(|path| Ok(umount2(path, MntFlags::MNT_DETACH)?))
}
