//! /proc/PID/timers: the POSIX timers of a process. Needs CONFIG_CHECKPOINT_RESTORE. Their times are not in it:
//! only the process can ask for them (timer_gettime).

use nix::unistd::Pid;

use super::ProcDir;
use super::error::{ParseError, Result};
use super::text::Lines;

/// A POSIX timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// `timer_t`.
    pub id: i32,
    /// `sigev_signo`.
    pub signal: i32,
    /// `sigev_value`: the user's word.
    pub value: u64,
    /// How it notifies.
    pub notify: Notify,
    /// Whom.
    pub target: Target,
    /// CLOCK_*, or the encoded clock of a process or thread (negative).
    pub clock: i32,
}

/// `sigev_notify` without SIGEV_THREAD_ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Notify {
    /// SIGEV_SIGNAL.
    Signal,
    /// SIGEV_NONE.
    None,
    /// SIGEV_THREAD.
    Thread,
}

/// Whom a timer notifies, in the pid namespace of the /proc mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// The process.
    Process(Pid),
    /// One thread (SIGEV_THREAD_ID); 0 when it is gone.
    Thread(Pid),
}

/// Reads `timers` of a process, the newest first.
pub fn read(dir: &ProcDir, buf: &mut Vec<u8>) -> Result<Vec<Timer>> {
    dir.read_with("timers", buf, parse)
}

/// Parses a timers file: four lines a timer.
pub fn parse(text: &[u8]) -> Result<Vec<Timer>, ParseError> {
    let mut lines = Lines::new(text);
    let mut timers = Vec::new();
    while let Some(mut line) = lines.next() {
        line.expect(b"ID:", "`ID:` of a timer")?;
        let id = line.int("the id of a timer")?;
        line.end()?;
        let (signal, value) = signal(&mut lines)?;
        let (notify, target) = notify(&mut lines)?;
        let mut line = lines.next().ok_or_else(|| lines.error("`ClockID:` of a timer", b""))?;
        line.expect(b"ClockID:", "`ClockID:` of a timer")?;
        let clock = line.int("a clock")?;
        line.end()?;
        timers.push(Timer { id, signal, value, notify, target, clock });
    }
    Ok(timers)
}

fn signal(lines: &mut Lines<'_>) -> Result<(i32, u64), ParseError> {
    const FORM: &str = "`signal: number/value` of a timer";
    let mut line = lines.next().ok_or_else(|| lines.error(FORM, b""))?;
    line.expect(b"signal:", FORM)?;
    let signal = line.int(FORM)?;
    line.expect(b"/", FORM)?;
    let value = line.hex(FORM)?;
    line.end()?;
    Ok((signal, value))
}

fn notify(lines: &mut Lines<'_>) -> Result<(Notify, Target), ParseError> {
    const FORM: &str = "`notify: how/whom.pid` of a timer";
    let mut line = lines.next().ok_or_else(|| lines.error(FORM, b""))?;
    let whole = line.clone();
    line.expect(b"notify:", FORM)?;
    line.blanks();
    let how = match line.until(b'/') {
        Some(b"signal") => Notify::Signal,
        Some(b"none") => Notify::None,
        Some(b"thread") => Notify::Thread,
        _ => return Err(whole.error(FORM)),
    };
    let whom = match line.until(b'.') {
        Some(b"pid") => Target::Process,
        Some(b"tid") => Target::Thread,
        _ => return Err(whole.error(FORM)),
    };
    let pid = Pid::from_raw(line.int(FORM)?);
    line.end()?;
    Ok((how, whom(pid)))
}
