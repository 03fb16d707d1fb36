//! /proc/PID/stat and task/TID/stat: the identity of a task and the layout of its memory in one line.
//!
//! Addresses and the exit code are 0 for a caller that may not ptrace the task (proc_pid_stat(5)).

use nix::unistd::Pid;

use super::error::{ParseError, Result};
use super::text::Line;
use super::{ProcDir, text::find_byte};

/// `Stat::flags`: a kernel thread.
pub const PF_KTHREAD: u32 = 0x0020_0000;
/// `Stat::flags`: forked and not executed since.
pub const PF_FORKNOEXEC: u32 = 0x0000_0040;
/// `Stat::flags`: a thread of the kernel's within a process: a worker of io_uring (Linux 5.12), any (Linux 6.4).
pub const PF_USER_WORKER: u32 = 0x0000_4010;
/// `Stat::flags`: exiting.
pub const PF_EXITING: u32 = 0x0000_0004;

/// One line of stat. Pids are those of the /proc mount's pid namespace, 0 for a task outside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// The task: a tid in `task/TID/stat`.
    pub pid: Pid,
    /// The name as set, at most 15 bytes of anything but NUL (63 for kernel threads).
    pub comm: Vec<u8>,
    /// One of `RSDTtZXxIKWP`.
    pub state: u8,
    /// The parent.
    pub ppid: Pid,
    /// The process group; -1 when the task is dead.
    pub pgrp: Pid,
    /// The session; -1 when the task is dead.
    pub session: Pid,
    /// The controlling terminal as an encoded `dev_t`, 0 without one.
    pub tty_nr: i32,
    /// The foreground process group of that terminal, -1 without one.
    pub tpgid: Pid,
    /// PF_* of the kernel's sched.h.
    pub flags: u32,
    /// -20 to 19.
    pub nice: i32,
    /// Threads of the process; 0 when it is dead.
    pub num_threads: u32,
    /// Clock ticks after boot, in the boot clock of the reader's time namespace.
    pub start_time: u64,
    /// Bytes of mapped memory.
    pub vsize: u64,
    /// `mm->start_code`.
    pub start_code: u64,
    /// `mm->end_code`.
    pub end_code: u64,
    /// `mm->start_stack`.
    pub start_stack: u64,
    /// The signal sent to the parent when the process ends; -1 for a thread that is no leader.
    pub exit_signal: i32,
    /// 1 to 99 for real-time policies, else 0.
    pub rt_priority: u32,
    /// SCHED_*.
    pub policy: u32,
    /// `mm->start_data`.
    pub start_data: u64,
    /// `mm->end_data`.
    pub end_data: u64,
    /// `mm->start_brk`. The current break is the end of the area that starts here.
    pub start_brk: u64,
    /// `mm->arg_start`.
    pub arg_start: u64,
    /// `mm->arg_end`.
    pub arg_end: u64,
    /// `mm->env_start`.
    pub env_start: u64,
    /// `mm->env_end`.
    pub env_end: u64,
    /// The status as wait(2) encodes it.
    pub exit_code: i32,
}

impl Stat {
    /// The controlling terminal's device number as stat(2) has it, none without one.
    pub fn terminal(&self) -> Option<u64> {
        let number = self.tty_nr as u32;
        let (major, minor) = ((number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xfff00));
        (number != 0).then(|| nix::sys::stat::makedev(major.into(), minor.into()))
    }

    /// Whether the task is a zombie or dead.
    pub fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }

    /// Whether the task is a thread of the kernel's within a process.
    pub fn is_user_worker(&self) -> bool {
        self.flags & PF_USER_WORKER != 0
    }

    /// Whether the task belongs to the kernel.
    pub fn is_kernel_thread(&self) -> bool {
        self.flags & PF_KTHREAD != 0
    }
}

/// Reads `stat` of a process or thread.
pub fn read(dir: &ProcDir, buf: &mut Vec<u8>) -> Result<Stat> {
    dir.read_with("stat", buf, parse)
}

/// Parses the line of a stat file. The name may hold parentheses, blanks and line feeds: it ends at the last `)`.
pub fn parse(text: &[u8]) -> Result<Stat, ParseError> {
    let mut line = Line::of(text);
    let pid = pid(&mut line, "a pid")?;
    let rest = line.rest();
    let names = find_byte(rest, b'(').zip(rest.iter().rposition(|b| *b == b')')).filter(|(open, close)| open < close);
    let Some((open, close)) = names else {
        return Err(line.error("a name in parentheses"));
    };
    let mut line = Line::of(rest[close + 1..].trim_ascii_end());
    let stat = fields(pid, rest[open + 1..close].to_vec(), &mut line)?;
    Ok(stat)
}

fn fields(task: Pid, comm: Vec<u8>, line: &mut Line<'_>) -> Result<Stat, ParseError> {
    line.blanks();
    let [state] = line.take("a state letter")?;
    let (ppid, pgrp, session) = (pid(line, "ppid")?, pid(line, "pgrp")?, pid(line, "session")?);
    let (tty_nr, tpgid, flags) = (line.int("tty_nr")?, pid(line, "tpgid")?, line.dec("flags")?);
    pass(line, 9)?; // minflt cminflt majflt cmajflt utime stime cutime cstime priority
    let (nice, num_threads) = (line.int("nice")?, line.dec("num_threads")?);
    pass(line, 1)?; // itrealvalue
    let (start_time, vsize) = (line.dec("starttime")?, line.dec("vsize")?);
    pass(line, 2)?; // rss rsslim
    let (start_code, end_code) = (line.dec("startcode")?, line.dec("endcode")?);
    let start_stack = line.dec("startstack")?;
    pass(line, 9)?; // kstkesp kstkeip signal blocked sigignore sigcatch wchan nswap cnswap
    let exit_signal = line.int("exit_signal")?;
    pass(line, 1)?; // processor
    let (rt_priority, policy) = (line.dec("rt_priority")?, line.dec("policy")?);
    pass(line, 3)?; // delayacct_blkio_ticks guest_time cguest_time
    Ok(Stat {
        pid: task,
        comm,
        state,
        ppid,
        pgrp,
        session,
        tty_nr,
        tpgid,
        flags,
        nice,
        num_threads,
        start_time,
        vsize,
        start_code,
        end_code,
        start_stack,
        exit_signal,
        rt_priority,
        policy,
        start_data: line.dec("start_data")?,
        end_data: line.dec("end_data")?,
        start_brk: line.dec("start_brk")?,
        arg_start: line.dec("arg_start")?,
        arg_end: line.dec("arg_end")?,
        env_start: line.dec("env_start")?,
        env_end: line.dec("env_end")?,
        exit_code: line.int("exit_code")?,
    })
}

fn pid(line: &mut Line<'_>, expected: &'static str) -> Result<Pid, ParseError> {
    line.int(expected).map(Pid::from_raw)
}

fn pass(line: &mut Line<'_>, count: usize) -> Result<(), ParseError> {
    for _ in 0..count {
        if line.word().is_empty() {
            return Err(line.error("the 52 fields of stat"));
        }
    }
    Ok(())
}
