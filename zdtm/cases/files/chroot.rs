//! A process in a chroot stays in it, with its root and working directory; one whose root was deleted has none.
//@ needs: [cap:sys_chroot]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{position, read_once};
use crate::tools_relatives::{arrive, await_word, fork_logged, shared_word};
use nix::unistd::{chdir, chroot, getcwd};
use std::fs::{self, File};
use std::path::Path;

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    fs::create_dir_all(gate.path("jail/inner"))?;
    fs::create_dir(gate.path("gone"))?;
    fs::write(gate.path("jail/marker"), b"inside")?;
    fs::write(gate.path("outside"), b"0123456789")?;
    let outside = File::open(gate.path("outside"))?;
    read_once(&outside, 3)?;
    let jail = gate.path("jail");
    let inside = fork_logged(gate, |gate| {
        chroot(&jail)?;
        chdir("/inner")?;
        let marker = File::open("/marker")?;
        read_once(&marker, 2)?;
        arrive(word);
        gate.wait();
        await_word(word, 3)?;
        check_eq("the working directory", getcwd()?, Path::new("/inner").to_owned())?;
        check_eq("what lies in the root", fs::read("/marker")?, b"inside".to_vec())?;
        check_eq("the position in a file inside", position(&marker)?, 2)?;
        check_eq("the position in a file outside", position(&outside)?, 3)?;
        chdir("/../..")?;
        check_eq("the directory above the root", getcwd()?, Path::new("/").to_owned())?;
        check_eq("the rest of a file outside", read_once(&outside, 10)?, b"3456789".to_vec())
    })?;
    let gone = gate.path("gone");
    let rootless = fork_logged(gate, |gate| {
        chroot(&gone)?;
        chdir("/")?;
        arrive(word);
        gate.wait();
        check_eq("making a file in a deleted root", fs::write("/new", b"").is_err(), true)?;
        check_eq("links of the deleted root", nix::sys::stat::stat("/")?.st_nlink, 0)
    })?;
    await_word(word, 2)?;
    fs::remove_dir(&gone)?;
    // The root of the first child has another name now.
    fs::rename(&jail, gate.path("renamed"))?;
    gate.checkpoint()?;
    let root = fs::read_link(format!("/proc/{inside}/root"))?;
    check_eq("the child's root seen from here", root, gate.path("renamed"))?;
    arrive(word);
    wait_ok(inside)?;
    wait_ok(rootless)
}
