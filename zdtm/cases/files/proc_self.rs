//! Open files of /proc about the process itself: still about it, read on where reading stopped.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_files::{read_once, target, write_once};
use crate::tools_memory::Area;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{Whence, lseek};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

pub fn run(gate: &mut Gate) -> Verdict {
    let me = std::process::id();
    let area = Area::private(1)?;
    area.set(0, 0x1234);
    let status = File::open("/proc/self/status")?;
    let directory = File::open("/proc/self")?;
    let descriptors = File::open("/proc/self/fd")?;
    let comm = File::options().read(true).write(true).open(format!("/proc/self/task/{me}/comm"))?;
    let memory = File::options().read(true).write(true).open("/proc/self/mem")?;
    let systems = File::open("/proc/filesystems")?;
    let host = File::open("/proc/sys/kernel/ostype")?;
    let all = fs::read("/proc/filesystems")?;
    read_once(&systems, 20)?;
    read_once(&status, 3)?;
    gate.checkpoint()?;
    check_eq("the rest of a file read in part", read_once(&systems, 1 << 16)?, all[20..].to_vec())?;
    lseek(&status, 0, Whence::SeekSet)?;
    let text = String::from_utf8_lossy(&read_once(&status, 1 << 16)?).into_owned();
    check("the status is this process's", text.contains(&format!("\nPid:\t{me}\n")))?;
    check_eq("the directory's path", target(&directory)?, format!("/proc/{me}").into())?;
    let environ = openat(&directory, "cmdline", OFlag::O_RDONLY, Mode::empty())?;
    check_eq("a file below it", read_once(&environ, 1 << 16)?, fs::read("/proc/self/cmdline")?)?;
    check_eq("the path of the descriptors' directory", target(&descriptors)?, format!("/proc/{me}/fd").into())?;
    write_once(&comm, b"renamed")?;
    check_eq("the name", fs::read_to_string("/proc/self/comm")?, "renamed\n".to_owned())?;
    let mut word = [0; 8];
    memory.read_exact_at(&mut word, area.at(0) as u64)?;
    check_eq("memory read through /proc/self/mem", u64::from_ne_bytes(word), 0x1234)?;
    memory.write_all_at(&5u64.to_ne_bytes(), area.at(0) as u64)?;
    check_eq("memory written through /proc/self/mem", area.word(0), 5)?;
    check_eq("a sysctl", read_once(&host, 100)?, b"Linux\n".to_vec())
}
