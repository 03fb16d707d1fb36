//! Open files and directories of /sys keep their position and still answer.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{position, read_once, target};
use nix::unistd::{Whence, lseek};
use std::fs::{self, File};

const ONLINE: &str = "/sys/devices/system/cpu/online";

pub fn run(gate: &mut Gate) -> Verdict {
    let file = File::open(ONLINE)?;
    let directory = File::open("/sys/devices/system/cpu")?;
    read_once(&file, 1)?;
    gate.checkpoint()?;
    check_eq("the position", position(&file)?, 1)?;
    lseek(&file, 0, Whence::SeekSet)?;
    check_eq("what the file says", read_once(&file, 4096)?, fs::read(ONLINE)?)?;
    check_eq("the directory", target(&directory)?, "/sys/devices/system/cpu".into())
}
