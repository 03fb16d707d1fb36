//! The console and a serial line, where the machine has them: opened again by their paths, with their settings.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_files::{flags, target};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::termios::tcgetattr;

pub fn run(gate: &mut Gate) -> Verdict {
    let how = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
    let all = ["/dev/console", "/dev/ttyS0", "/dev/tty1"];
    let lines: Vec<_> = all.iter().filter_map(|path| open(*path, how, Mode::empty()).ok()).collect();
    let lines: Vec<_> = lines.into_iter().filter(|line| tcgetattr(line).is_ok()).collect();
    let state = || lines.iter().map(|line| Verdict::Ok((target(line)?, flags(line)?))).collect::<Verdict<Vec<_>>>();
    let settings = || lines.iter().map(tcgetattr).collect::<Result<Vec<_>, _>>();
    let (before, set) = (state()?, settings()?);
    gate.checkpoint()?;
    check_eq("paths and flags", state()?, before)?;
    check("the settings are as before", settings()? == set)
}
