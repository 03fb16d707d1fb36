//! A master whose slave nobody has opened yet keeps the lock; reading it still waits, and it is not hung up.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{read_once, write_once};
use crate::tools_terminals::{events, get, master, open_slave, set};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::PollFlags;
use nix::pty::posix_openpt;
use nix::sys::stat::Mode;

pub fn run(gate: &mut Gate) -> Verdict {
    let locked = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK)?;
    let open_one = master()?;
    gate.checkpoint()?;
    check_eq("the locks", (get(&locked, libc::TIOCGPTLCK)?, get(&open_one, libc::TIOCGPTLCK)?), (1, 0))?;
    let opened = open(crate::tools_terminals::path(&locked)?.as_str(), OFlag::O_RDWR, Mode::empty());
    check_eq("opening the slave", opened.err(), Some(Errno::EIO))?;
    check_eq("reading the master", read_once(&locked, 1), Err(Errno::EAGAIN))?;
    check_eq("the state of the locked one", events(&locked)?, PollFlags::POLLOUT)?;
    check_eq("the state of the other", events(&open_one)?, PollFlags::POLLOUT)?;
    set(&locked, libc::TIOCSPTLCK, 0)?;
    for master in [locked.into(), open_one] {
        let slave = open_slave(&master, OFlag::O_RDWR | OFlag::O_NOCTTY)?;
        write_once(&master, b"x\n")?;
        check_eq("what the slave reads", read_once(&slave, 10)?, b"x\n".to_vec())?;
    }
    Ok(())
}
