//! Programs on a terminal of the case's: what is typed, what they show.

use crate::gate::{Gate, Verdict, fail};
use crate::tools_relatives::until;
use crate::tools_terminals::{events, master, path, set_window};
use nix::fcntl::{OFlag, open};
use nix::poll::PollFlags;
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// A program that leads a session on a terminal.
pub struct Screen {
    /// Its process.
    pub pid: Pid,
    master: OwnedFd,
    /// All that it has shown.
    shown: RefCell<Vec<u8>>,
}

impl Screen {
    /// Starts a program on a terminal of 24 lines of 80 characters.
    pub fn start(gate: &Gate, name: &str, arguments: &[&str]) -> Verdict<Screen> {
        let master = master()?;
        set_window(&master, [24, 80, 0, 0])?;
        let path = path(&master)?;
        let side = || open(path.as_str(), OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC, Mode::empty());
        let mut command = Command::new(name);
        command.args(arguments).env("TERM", "xterm").env("HOME", gate.dir()).env("PS1", "ready> ");
        command.stdin(side()?).stdout(side()?).stderr(side()?);
        // SAFETY: calls that are async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                nix::unistd::setsid()?;
                match libc::ioctl(0, libc::TIOCSCTTY, 0) {
                    -1 => Err(std::io::Error::last_os_error()),
                    _ => Ok(()),
                }
            });
        }
        let pid = Pid::from_raw(i32::try_from(command.spawn()?.id())?);
        Ok(Screen { pid, master, shown: RefCell::new(Vec::new()) })
    }

    /// Types something.
    pub fn type_in(&self, keys: &str) -> Verdict {
        let mut left = keys.as_bytes();
        while !left.is_empty() {
            left = &left[nix::unistd::write(&self.master, left)?..];
        }
        Ok(())
    }

    /// Reads what there is to see.
    pub fn look(&self) -> Verdict<String> {
        let mut buffer = [0; 4096];
        while events(&self.master)?.contains(PollFlags::POLLIN) {
            let got = nix::unistd::read(&self.master, &mut buffer)?;
            self.shown.borrow_mut().extend_from_slice(&buffer[..got]);
        }
        Ok(String::from_utf8_lossy(&self.shown.borrow()).into_owned())
    }

    /// Waits until a text is shown.
    pub fn await_text(&self, text: &str) -> Verdict {
        let found = until(&format!("{text:?} to be shown"), || Ok(self.look()?.contains(text)));
        found.or_else(|e| fail(format!("{}; shown is {:?}", e.0, self.look()?)))
    }

    /// Forgets what was shown.
    pub fn forget(&self) {
        self.shown.borrow_mut().clear();
    }

    /// Waits for the program's success.
    pub fn finish(self) -> Verdict {
        match waitpid(self.pid, None)? {
            WaitStatus::Exited(_, 0) => Ok(()),
            other => fail(format!("the program ended with {other:?}")),
        }
    }
}
