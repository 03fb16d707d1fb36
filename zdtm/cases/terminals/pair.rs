//! A pseudo terminal keeps its number, its settings, the size of its window, the owner and mode of its node, its flags.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_files::{flags, read_once, stat, target, write_once};
use crate::tools_terminals::{change, get, open_slave, pair, path, set_window, window};
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fchmod};
use nix::sys::termios::{InputFlags, LocalFlags, SpecialCharacterIndices as Index, tcgetattr};
use nix::unistd::fchown;

pub fn run(gate: &mut Gate) -> Verdict {
    let (master, slave) = pair()?;
    let again = open_slave(&master, OFlag::O_WRONLY | OFlag::O_NOCTTY | OFlag::O_NONBLOCK)?;
    fchown(&slave, Some(1234.into()), Some(4321.into()))?;
    fchmod(&slave, Mode::from_bits_truncate(0o640))?;
    set_window(&master, [31, 117, 5, 6])?;
    change(&slave, |settings| {
        settings.local_flags.remove(LocalFlags::ECHO | LocalFlags::ISIG);
        settings.input_flags.remove(InputFlags::ICRNL);
        settings.input_flags.insert(InputFlags::IXANY);
        settings.control_chars[Index::VINTR as usize] = 24;
        settings.control_chars[Index::VKILL as usize] = 0;
    })?;
    let state = || {
        let modes = (flags(&master)?, flags(&slave)?, flags(&again)?);
        let node = stat(&slave)?;
        Verdict::Ok((modes, node.st_uid, node.st_gid, node.st_mode, node.st_ino, target(&slave)?, path(&master)?))
    };
    let (before, settings) = (state()?, tcgetattr(&slave)?);
    gate.checkpoint()?;
    check_eq("flags, owner, mode, path", state()?, before)?;
    check("the settings are as before", tcgetattr(&slave)? == settings)?;
    check("the master tells the same", tcgetattr(&master)? == settings)?;
    check_eq("the window of the slave", window(&slave)?, [31, 117, 5, 6])?;
    check_eq("the window of the master", window(&master)?, [31, 117, 5, 6])?;
    check_eq("bytes to read", get(&slave, libc::FIONREAD)?, 0)?;
    write_once(&master, b"typed\n")?;
    check_eq("what the slave reads", read_once(&slave, 100)?, b"typed\n".to_vec())?;
    write_once(&again, b"shown\n")?;
    check_eq("what the master reads", read_once(&master, 100)?, b"shown\r\n".to_vec())
}
