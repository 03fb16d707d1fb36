//! Tasks blocked in opening a fifo, one to read and one to write, wait on until somebody opens the other end.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{read_once, write_once};
use crate::tools_relatives::until;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

fn await_open(child: Pid) -> Verdict {
    until("the child to sleep in open", || {
        Ok(std::fs::read_to_string(format!("/proc/{child}/wchan"))?.contains("wait_for_partner"))
    })
}

pub fn run(gate: &mut Gate) -> Verdict {
    let (to_read, to_write) = (gate.path("to-read"), gate.path("to-write"));
    for path in [&to_read, &to_write] {
        mkfifo(path, Mode::from_bits_truncate(0o600))?;
    }
    // nix::fcntl::open does not repeat an interrupted call, as std's would.
    let reader = gate.fork(|_| {
        let end = open(&to_read, OFlag::O_RDONLY, Mode::empty())?;
        check_eq("what the reader got", read_once(&end, 10)?, b"hello".to_vec())
    })?;
    let writer = gate.fork(|_| write_once(&open(&to_write, OFlag::O_WRONLY, Mode::empty())?, b"good day"))?;
    await_open(reader)?;
    await_open(writer)?;
    gate.checkpoint()?;
    let end = open(&to_read, OFlag::O_WRONLY, Mode::empty())?;
    write_once(&end, b"hello")?;
    let other = open(&to_write, OFlag::O_RDONLY, Mode::empty())?;
    check_eq("what the writer wrote", read_once(&other, 20)?, b"good day".to_vec())?;
    wait_ok(reader)?;
    wait_ok(writer)
}
