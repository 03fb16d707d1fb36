//! A job of a shell, on the shell's terminal: it comes back in the foreground of the terminal on which it is restored, with
//! its settings.
//@ session: terminal
//@ options: --shell-job
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_files::target;
use crate::tools_terminals::{get, raw};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::termios::tcgetattr;
use nix::unistd::{getpgrp, getpid};

pub fn run(gate: &mut Gate) -> Verdict {
    let stdin = std::io::stdin();
    raw(&stdin)?;
    let again = open("/dev/tty", OFlag::O_RDWR | OFlag::O_NONBLOCK, Mode::empty())?;
    let before = (target(&stdin)?, target(&again)?, tcgetattr(&stdin)?);
    gate.checkpoint()?;
    check("paths and settings", (target(&stdin)?, target(&again)?, tcgetattr(&stdin)?) == before)?;
    check_eq("the group", getpgrp(), getpid())?;
    check_eq("the foreground group", get(&stdin, libc::TIOCGPGRP)?, getpid().as_raw())?;
    check_eq("the foreground group by /dev/tty", get(&again, libc::TIOCGPGRP)?, getpid().as_raw())
}
