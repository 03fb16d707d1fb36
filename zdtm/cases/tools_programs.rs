//! Real programs as children of a case: files as their standard descriptors, progress and the word to stop as files in
//! the scratch directory, which is their working directory.

use crate::gate::{Gate, Verdict, fail};
use crate::tools_relatives::until;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};

/// A program under way. Its output goes to the file `output`, its complaints to the log.
pub struct Program {
    /// Its process.
    pub pid: Pid,
    /// The writing end of its standard input, where the case asked for one.
    input: Option<ChildStdin>,
}

impl Program {
    /// Starts a program without input.
    pub fn start(gate: &Gate, name: &str, arguments: &[&str]) -> Verdict<Program> {
        Program::spawn(gate, Command::new(name).args(arguments).stdin(Stdio::null()))
    }

    /// Starts a program without input under an account that is not this process's: user and group of that number.
    pub fn start_as(gate: &Gate, path: &Path, arguments: &[&str], account: u32) -> Verdict<Program> {
        Program::spawn(gate, Command::new(path).args(arguments).uid(account).gid(account).stdin(Stdio::null()))
    }

    /// Starts a program that reads what the case writes to `input`.
    pub fn start_fed(gate: &Gate, name: &str, arguments: &[&str]) -> Verdict<Program> {
        Program::spawn(gate, Command::new(name).args(arguments).stdin(Stdio::piped()))
    }

    fn spawn(gate: &Gate, command: &mut Command) -> Verdict<Program> {
        let output = File::create_new(gate.path("output"))?;
        let mut child = command.env("TMPDIR", gate.dir()).stdout(output).spawn()?;
        Ok(Program { pid: Pid::from_raw(i32::try_from(child.id())?), input: child.stdin.take() })
    }

    /// Waits until the program has made the file `progress`, and closed it.
    pub fn await_progress(&self, gate: &Gate) -> Verdict {
        self.await_file(gate, "progress")
    }

    /// Waits until a file of the scratch directory is there and no process has it open.
    pub fn await_file(&self, gate: &Gate, name: &str) -> Verdict {
        let path = gate.path(name);
        until(&format!("the program to make {name}"), || Ok(path.exists() && !is_open(&path)))
    }

    /// Writes to the program's input.
    pub fn feed(&mut self, text: &str) -> Verdict {
        match &mut self.input {
            Some(input) => Ok(input.write_all(text.as_bytes())?),
            None => fail("the program has no input"),
        }
    }

    /// Tells the program to come to its end, by the file `stop`, waits for it, and returns what it put out.
    pub fn stop(self, gate: &Gate) -> Verdict<String> {
        std::fs::write(gate.path("stop"), b"")?;
        self.finish(gate)
    }

    /// Closes the program's input, waits for its success, and returns what it put out.
    pub fn finish(self, gate: &Gate) -> Verdict<String> {
        drop(self.input);
        match waitpid(self.pid, None)? {
            WaitStatus::Exited(_, 0) => Ok(std::fs::read_to_string(gate.path("output"))?),
            other => fail(format!("the program ended with {other:?}")),
        }
    }
}

/// Whether any process has a file open.
fn is_open(path: &Path) -> bool {
    let all = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    all(PathBuf::from("/proc"))
        .flat_map(|process| all(process.join("fd")))
        .any(|link| std::fs::read_link(link).is_ok_and(|target| target == path))
}

/// The processor time, in clock ticks, that all processes of a name have used in user mode.
pub fn ticks_of(name: &str) -> u64 {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ticks = |path: PathBuf| -> Option<u64> {
        let stat = std::fs::read_to_string(path.join("stat")).ok()?;
        let (head, rest) = stat.rsplit_once(") ")?;
        let of_name = head.split_once('(')?.1 == name;
        // utime is field 14; the first after the name is the third.
        if of_name { rest.split(' ').nth(11)?.parse().ok() } else { None }
    };
    entries.filter_map(|entry| ticks(entry.path())).sum()
}
