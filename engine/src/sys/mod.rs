//! Every unsafe line of the engine that talks to the kernel: thin wrappers of the calls that nix lacks, each with the
//! kernel's own words and units. Nothing here decides anything.

pub mod acting;
pub mod bpf;
pub mod clone;
pub mod event;
pub mod file;
pub mod handle;
pub mod ipc;
pub mod kcmp;
pub mod map;
pub mod mem;
pub mod mqueue;
pub mod notify;
pub mod pagemap;
pub mod pidfd;
pub mod probe;
pub mod process;
pub mod ptrace;
pub mod socket;
pub mod task;
pub mod tty;
pub mod undo;
pub mod uring;
pub mod userfault;
pub mod vector;

use std::fmt;

pub use nix::errno::Errno;
pub use nix::unistd::Pid;

/// What a wrapper returns.
pub type Result<T> = nix::Result<T>;

/// An address in another process. It proves nothing but that it is not one of ours.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RemoteAddr(pub u64);

impl RemoteAddr {
    /// The address `bytes` further on.
    pub fn plus(self, bytes: u64) -> RemoteAddr {
        RemoteAddr(self.0.wrapping_add(bytes))
    }
}

impl fmt::Debug for RemoteAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for RemoteAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// The result of a raw system call.
fn check(ret: libc::c_long) -> Result<i64> {
    Errno::result(ret)
}

/// The size of a page of the running kernel, in bytes.
pub fn page_size() -> u64 {
    use std::sync::OnceLock;
    static SIZE: OnceLock<u64> = OnceLock::new();
    *SIZE.get_or_init(|| {
        let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
        size.and_then(|s| u64::try_from(s).ok()).unwrap_or(4096)
    })
}

/// The size of the address space that the kernel gives a program by default, in bytes: the next power of two above the
/// stack, less a page. It depends on the CPU and on how the kernel was configured.
pub fn task_size() -> u64 {
    static SIZE: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *SIZE.get_or_init(|| {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let ends = maps.lines().filter(|line| !line.ends_with("[vsyscall]"));
        let ends = ends.filter_map(|line| u64::from_str_radix(line.split(['-', ' ']).nth(1)?, 16).ok());
        let highest = ends.max().unwrap_or(1 << 38);
        highest.checked_next_power_of_two().unwrap_or(1 << 47) - page_size()
    })
}
