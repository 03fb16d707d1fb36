//! The process table as /proc shows it, and the stacks of what hangs.

use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// The fields of `/proc/PID/stat`, by their numbers in proc_pid_stat(5).
pub struct Stat {
    comm: String,
    /// From field 3 (the state) on.
    rest: Vec<String>,
}

impl Stat {
    /// Reads `PATH/stat` (`/proc/PID` or `/proc/PID/task/TID`); none where the task is gone.
    pub fn read(path: &str) -> Option<Stat> {
        Stat::parse(&fs::read_to_string(format!("{path}/stat")).ok()?)
    }

    /// Parses a line; the name may hold spaces and parentheses.
    fn parse(line: &str) -> Option<Stat> {
        let (open, close) = (line.find('(')?, line.rfind(')')?);
        let rest = line.get(close + 1..)?.split_whitespace().map(str::to_owned).collect();
        Some(Stat { comm: line.get(open + 1..close)?.to_owned(), rest })
    }

    /// The task's name.
    pub fn comm(&self) -> &str {
        &self.comm
    }

    /// A field by its number, from 3 on; empty where the kernel has it not.
    pub fn field(&self, number: usize) -> &str {
        number.checked_sub(3).and_then(|i| self.rest.get(i)).map_or("", String::as_str)
    }

    /// Whether it is a thread of the kernel's within a process (PF_IO_WORKER, PF_USER_WORKER): such come and go.
    pub fn is_worker(&self) -> bool {
        self.field(9).parse::<u32>().is_ok_and(|flags| flags & 0x4010 != 0)
    }

    /// The state's letter.
    pub fn state(&self) -> char {
        self.field(3).chars().next().unwrap_or('?')
    }
}

/// All processes (not threads) that this /proc shows.
pub fn all() -> BTreeSet<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeSet::new() };
    entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
}

/// Whether a process, or its zombie, is there.
pub fn exists(pid: i32) -> bool {
    fs::exists(format!("/proc/{pid}")).unwrap_or(false)
}

/// Whether a process is there and no zombie.
pub fn alive(pid: i32) -> bool {
    // A leader that has exited before its threads is a zombie, and its process lives on in them.
    let threads = |stat: &Stat| stat.field(20).parse::<u32>().unwrap_or(1);
    Stat::read(&format!("/proc/{pid}")).is_some_and(|stat| !matches!(stat.state(), 'Z' | 'X') || threads(&stat) > 1)
}

/// The processes of the tree under `root`, itself included.
pub fn tree(root: Pid) -> BTreeSet<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for pid in all() {
        if let Some(parent) = Stat::read(&format!("/proc/{pid}")).and_then(|s| s.field(4).parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = BTreeSet::new();
    let mut next = if exists(root.as_raw()) { vec![root.as_raw()] } else { Vec::new() };
    while let Some(pid) = next.pop() {
        if found.insert(pid) {
            next.extend(children.get(&pid).into_iter().flatten());
        }
    }
    found
}

/// The threads of a process.
pub fn threads(pid: i32) -> Vec<i32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let mut tids: Vec<i32> = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    tids.sort_unstable();
    tids
}

/// `12 (name)`, for messages.
pub fn title(pid: i32) -> String {
    match Stat::read(&format!("/proc/{pid}")) {
        Some(stat) => format!("{pid} ({}, state {})", stat.comm(), stat.state()),
        None => pid.to_string(),
    }
}

/// What each process of the cell is doing: a line a thread, with the kernel's stack where it may be read.
pub fn stacks() -> Vec<String> {
    const THREADS: usize = 16;
    let mut lines = Vec::new();
    for pid in all().into_iter().filter(|&pid| pid != 1) {
        lines.push(title(pid));
        let tids = threads(pid);
        for tid in tids.iter().take(THREADS) {
            let read = |what: &str| fs::read_to_string(format!("/proc/{pid}/task/{tid}/{what}")).unwrap_or_default();
            let state = Stat::read(&format!("/proc/{pid}/task/{tid}")).map_or('?', |s| s.state());
            lines.push(format!("  {tid} {state} in {}, call {}", or_dash(&read("wchan")), or_dash(&read("syscall"))));
            lines.extend(read("stack").lines().take(8).map(|l| format!("    {l}")));
        }
        if tids.len() > THREADS {
            lines.push(format!("  and {} threads more", tids.len() - THREADS));
        }
    }
    lines
}

fn or_dash(text: &str) -> &str {
    match text.trim() {
        "" => "-",
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_parentheses() {
        let stat = Stat::parse("12 (a) (b) S 1 12 12 0").unwrap();
        assert_eq!((stat.comm(), stat.state(), stat.field(4)), ("a) (b", 'S', "1"));
        assert_eq!(stat.field(99), "");
        assert!(Stat::parse("12 a").is_none());
    }

    #[test]
    fn this_process_is_in_its_own_tree() {
        let me = Pid::this();
        assert!(tree(me).contains(&me.as_raw()));
        assert!(!threads(me.as_raw()).is_empty());
    }
}
