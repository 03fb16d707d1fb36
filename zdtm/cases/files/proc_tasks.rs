//! Open files of /proc about other tasks: of a living child still tell of it, of a dead one only that it is dead.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{read_once, target};
use crate::tools_relatives::{arrive, await_word, shared_word};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use std::fs::File;

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let living = gate.fork(|gate| {
        arrive(word);
        gate.wait();
        await_word(word, 2)
    })?;
    await_word(word, 1)?;
    let dying = gate.fork(|_| await_word(word, 1))?;
    let file = |pid: nix::unistd::Pid, name: &str| File::open(format!("/proc/{pid}/{name}"));
    let of_living = [file(living, "stat")?, file(living, "task")?];
    let of_dead = [file(dying, "status")?, file(dying, "")?, file(dying, "task")?];
    wait_ok(dying)?;
    let paths: Vec<_> = of_living.iter().chain(&of_dead).map(target).collect::<Verdict<_>>()?;
    gate.checkpoint()?;
    let stat = String::from_utf8_lossy(&read_once(&of_living[0], 4096)?).into_owned();
    check("the living child's stat", stat.starts_with(&format!("{living} (")))?;
    let task = openat(&of_living[1], format!("{living}/stat").as_str(), OFlag::O_RDONLY, Mode::empty())?;
    check("below the living child's directory", !read_once(&task, 10)?.is_empty())?;
    check_eq("reading the dead child's status", read_once(&of_dead[0], 10), Err(Errno::ESRCH))?;
    for directory in &of_dead[1..] {
        // Which of the two it is depends on what the kernel has cached.
        let opened = openat(directory, "status", OFlag::O_RDONLY, Mode::empty()).map(drop);
        check("something of the dead child is gone", matches!(opened, Err(Errno::ENOENT | Errno::ESRCH)))?;
    }
    let now: Vec<_> = of_living.iter().chain(&of_dead).map(target).collect::<Verdict<_>>()?;
    check_eq("the paths", now, paths)?;
    arrive(word);
    wait_ok(living)
}
