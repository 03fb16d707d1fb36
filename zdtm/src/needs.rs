//! What a case needs of the machine (`//@ needs:`), and whether it is there.
//!
//! `cpu:FLAG` or a bare word: a flag of /proc/cpuinfo. `cpus:N`: so many CPUs that this process may use. `cap:NAME` or
//! `cap_NAME`: an effective capability. `prog:NAME`: a program in PATH. `cc:FLAG`: a C compiler that builds a program
//! with this flag (`cc:-m32`). `kernel:X.Y`: at least this version. `kernel:FEATURE`: one of [`FEATURES`].
//! `symbol:NAME`: the kernel has this function.

use anyhow::{Context as _, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// One need.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// A flag of the CPU.
    Cpu(String),
    /// An effective capability, by its number.
    Cap(u32),
    /// A program in PATH.
    Program(String),
    /// At least so many usable CPUs.
    Cpus(usize),
    /// A kernel not older than this.
    Version(u32, u32),
    /// A feature of [`FEATURES`], by its index.
    Feature(usize),
    /// A symbol of the kernel.
    Symbol(String),
    /// A flag with which the C compiler can build.
    Compiler(String),
}

/// Features of the kernel by the file in which each shows, (after a `*`) by a symbol of /proc/kallsyms, or (after a `#`)
/// by a system call that does more than answer ENOSYS; [`ASKED`] where more must be asked.
const FEATURES: [(&str, &str); 20] = [
    ("autogroup", "/proc/self/autogroup"),
    ("fanotify", "/proc/sys/fs/fanotify"),
    ("hugetlb", "/proc/sys/vm/nr_hugepages"),
    ("ia32", "/proc/sys/abi/vsyscall32"),
    ("inotify", "/proc/sys/fs/inotify"),
    ("io_uring", "/proc/sys/kernel/io_uring_disabled"),
    ("ksm", "/sys/kernel/mm/ksm"),
    ("ldt", "*destroy_context_ldt"),
    ("loginuid", "/proc/self/loginuid"),
    ("mqueue", "/proc/sys/fs/mqueue"),
    ("perf", "/proc/sys/kernel/perf_event_paranoid"),
    ("sched_autogroup", "/proc/sys/kernel/sched_autogroup_enabled"),
    ("pidfd_thread", ASKED),
    ("seccomp", "/proc/sys/kernel/seccomp/actions_avail"),
    ("secretmem", "#447"), // memfd_secret(2), the same number on every CPU
    ("syscall_user_dispatch", "*set_syscall_user_dispatch"),
    ("sysvipc", "/proc/sysvipc/shm"),
    ("thp", "/sys/kernel/mm/transparent_hugepage"),
    ("userfaultfd", "/proc/sys/vm/unprivileged_userfaultfd"),
    ("vt", "/dev/tty20"),
];

/// Stands where no file and no symbol shows a feature: see [`answers`].
const ASKED: &str = "?";

/// The capabilities in the order of their numbers (capabilities(7)).
const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

impl Need {
    /// Parses one word of the list.
    pub fn parse(word: &str) -> anyhow::Result<Need> {
        if let Some(name) = word.strip_prefix("cap_") {
            return capability(name);
        }
        let Some((kind, name)) = word.split_once(':') else { return Ok(Need::Cpu(word.to_owned())) };
        match kind {
            "cpu" => Ok(Need::Cpu(name.to_owned())),
            "cap" => capability(name),
            "prog" => Ok(Need::Program(name.to_owned())),
            "symbol" => Ok(Need::Symbol(name.to_owned())),
            "cpus" => Ok(Need::Cpus(name.parse().with_context(|| format!("`{name}` is no number"))?)),
            "cc" => Ok(Need::Compiler(name.to_owned())),
            "kernel" => match version(name) {
                Some((major, minor)) => Ok(Need::Version(major, minor)),
                None => FEATURES
                    .iter()
                    .position(|(feature, _)| *feature == name)
                    .map(Need::Feature)
                    .with_context(|| format!("no probe for the kernel feature `{name}`")),
            },
            _ => bail!("`{word}`: no such kind of need"),
        }
    }

    /// What is missing here, in words; none where the need is met.
    pub fn missing(&self) -> Option<String> {
        let (there, what) = match self {
            Need::Cpu(flag) => (CPU_FLAGS.contains(flag), format!("the CPU has no {flag}")),
            Need::Cap(bit) => {
                let name = CAPABILITIES.get(*bit as usize).copied().unwrap_or("?");
                (effective_capabilities() >> bit & 1 == 1, format!("no CAP_{}", name.to_uppercase()))
            }
            Need::Program(name) => {
                (crate::build::find_program(Path::new(name)).is_ok(), format!("{name} is not installed"))
            }
            Need::Cpus(number) => {
                let here = std::thread::available_parallelism().map_or(1, usize::from);
                (here >= *number, format!("fewer than {number} CPUs"))
            }
            Need::Version(major, minor) => {
                let release = nix::sys::utsname::uname().map(|u| u.release().to_string_lossy().into_owned());
                let here = release.ok().and_then(|r| version(&r)).unwrap_or((0, 0));
                (here >= (*major, *minor), format!("the kernel is older than {major}.{minor}"))
            }
            Need::Feature(index) => {
                let (name, shown) = FEATURES[*index];
                let there = match shown.split_at(1) {
                    _ if shown == ASKED => answers(name),
                    ("*", symbol) => has_symbol(symbol),
                    ("#", number) => number.parse().is_ok_and(crate::sys::has_call),
                    _ => Path::new(shown).exists(),
                };
                (there, format!("the kernel has no {name}"))
            }
            Need::Symbol(name) => (has_symbol(name), format!("the kernel has no {name}()")),
            Need::Compiler(flag) => (compiles(flag), format!("no C compiler that builds with {flag}")),
        };
        (!there).then_some(what)
    }
}

fn capability(name: &str) -> anyhow::Result<Need> {
    let at = CAPABILITIES.iter().position(|c| *c == name).with_context(|| format!("no capability `{name}`"))?;
    Ok(Need::Cap(at as u32))
}

/// The first two numbers of a version such as `6.18.4-x`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

static CPU_FLAGS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut flags = BTreeSet::new();
    for line in text.lines() {
        // x86 says "flags", ARM "Features", s390x "features", RISC-V "isa".
        if let Some((key, value)) = line.split_once(':')
            && matches!(key.trim(), "flags" | "Features" | "features" | "isa")
        {
            flags.extend(value.split_whitespace().map(str::to_owned));
        }
    }
    flags
});

fn effective_capabilities() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let hex = text.lines().find_map(|l| l.strip_prefix("CapEff:")).unwrap_or("0");
    u64::from_str_radix(hex.trim(), 16).unwrap_or(0)
}

fn has_symbol(name: &str) -> bool {
    let symbols = fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    symbols.lines().any(|line| line.split_whitespace().nth(2) == Some(name))
}

/// Asks the kernel for a feature that shows in its calls alone.
fn answers(feature: &str) -> bool {
    match feature {
        "pidfd_thread" => crate::sys::pidfd_of_thread().is_ok(),
        _ => false,
    }
}

fn compiles(flag: &str) -> bool {
    let build = || -> std::io::Result<bool> {
        let mut cc = Command::new("cc")
            .args([flag, "-x", "c", "-", "-o", "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        if let Some(mut stdin) = cc.stdin.take() {
            std::io::Write::write_all(&mut stdin, b"#include <stdio.h>\nint main(void) { return puts(\"\") < 0; }\n")?;
        }
        Ok(cc.wait()?.success())
    };
    build().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_parses_and_probes() {
        assert_eq!(Need::parse("cap_sys_nice").unwrap(), Need::parse("cap:sys_nice").unwrap());
        assert_eq!(Need::parse("kernel:6.7").unwrap(), Need::Version(6, 7));
        assert!(Need::parse("kernel:2.6").unwrap().missing().is_none());
        assert_eq!(Need::parse("kernel:9999.0").unwrap().missing().unwrap(), "the kernel is older than 9999.0");
        assert!(Need::parse("prog:sh").unwrap().missing().is_none());
        assert_eq!(Need::parse("prog:no-such").unwrap().missing().unwrap(), "no-such is not installed");
        assert_eq!(Need::parse("no_such_flag").unwrap().missing().unwrap(), "the CPU has no no_such_flag");
        assert!(Need::parse("cpus:1").unwrap().missing().is_none());
        assert_eq!(Need::parse("cpus:99999").unwrap().missing().unwrap(), "fewer than 99999 CPUs");
        assert!(Need::parse("cap:fly").is_err());
        assert!(Need::parse("disk:big").is_err());
    }
}
