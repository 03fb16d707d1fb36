//! A pseudo terminal is refused by name; what is typed at the master still comes out at the slave.
//@ dump-fails: /dev/p
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{read_once, write_once};
use nix::fcntl::{OFlag, open};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::stat::Mode;

pub fn run(gate: &mut Gate) -> Verdict {
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let slave = open(ptsname_r(&master)?.as_str(), OFlag::O_RDWR | OFlag::O_NOCTTY, Mode::empty())?;
    gate.checkpoint()?;
    write_once(&master, b"typed\n")?;
    check_eq("what the slave reads", read_once(&slave, 100)?, b"typed\n".to_vec())
}
