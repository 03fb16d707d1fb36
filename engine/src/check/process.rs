//! Probes of the user's capabilities, ptrace, pids and what belongs to a task.

use std::fs::{self, File, OpenOptions};
use std::io::{IoSliceMut, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::getpid;
use stasis_arch::cpu::{BREAKPOINTS, Breakpoints, MAP_VDSO};

use super::{Answer, Because, unless};
use crate::sys::probe::{self, Area, Tracee, page_size, with_tracee};

/// Bits of `CapEff`, linux/capability.h.
const CHOWN: u64 = 1 << 0;
const DAC_OVERRIDE: u64 = 1 << 1;
const FOWNER: u64 = 1 << 3;
const KILL: u64 = 1 << 5;
const SETGID: u64 = 1 << 6;
const SETUID: u64 = 1 << 7;
const SETPCAP: u64 = 1 << 8;
const SYS_PTRACE: u64 = 1 << 19;
const SYS_ADMIN: u64 = 1 << 21;
const SYS_NICE: u64 = 1 << 23;
const SYS_RESOURCE: u64 = 1 << 24;
const CHECKPOINT_RESTORE: u64 = 1 << 40;

/// A line of /proc/self/status.
fn status(name: &str) -> Result<String, String> {
    let status = fs::read_to_string("/proc/self/status").because("/proc/self/status")?;
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.map(|v| v.trim().to_owned()).ok_or_else(|| format!("/proc/self/status has no line {name}"))
}

fn effective() -> Result<u64, String> {
    u64::from_str_radix(&status("CapEff")?, 16).because("CapEff of /proc/self/status")
}

fn capable(all: u64, names: &str) -> Answer {
    let effective = effective()?;
    unless(effective & all == all, &format!("not capable of {names} (CapEff {effective:016x})"))
}

pub(super) fn cap_sys_ptrace() -> Answer {
    capable(SYS_PTRACE, "CAP_SYS_PTRACE")
}

/// CAP_SYS_ADMIN does for it everywhere.
pub(super) fn cap_checkpoint_restore() -> Answer {
    let effective = effective()?;
    let there = effective & (CHECKPOINT_RESTORE | SYS_ADMIN) != 0;
    unless(there, "capable of neither CAP_CHECKPOINT_RESTORE nor CAP_SYS_ADMIN")
}

pub(super) fn cap_sys_admin() -> Answer {
    capable(SYS_ADMIN, "CAP_SYS_ADMIN")
}

pub(super) fn cap_sys_resource() -> Answer {
    capable(SYS_RESOURCE, "CAP_SYS_RESOURCE")
}

pub(super) fn cap_ids() -> Answer {
    capable(SETUID | SETGID | SETPCAP, "CAP_SETUID, CAP_SETGID and CAP_SETPCAP")
}

pub(super) fn cap_dac() -> Answer {
    capable(DAC_OVERRIDE | FOWNER | CHOWN, "CAP_DAC_OVERRIDE, CAP_FOWNER and CAP_CHOWN")
}

pub(super) fn cap_kill() -> Answer {
    capable(KILL, "CAP_KILL")
}

pub(super) fn cap_sys_nice() -> Answer {
    capable(SYS_NICE, "CAP_SYS_NICE")
}

/// A child that waits, stopped by us.
fn tracee() -> Result<Tracee, String> {
    with_tracee(|| Ok(()), 0)
}

pub(super) fn ptrace() -> Answer {
    tracee().map(drop)
}

pub(super) fn ptrace_poke() -> Answer {
    let area = Area::anonymous(page_size(), false).because("mmap")?;
    tracee()?.poke(area.address(), 1).because("PTRACE_POKEDATA into a page that is read only")
}

pub(super) fn yama() -> Answer {
    // Without Yama there is no such file, and nothing is restricted.
    let Ok(scope) = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope") else { return Ok(()) };
    match scope.trim() {
        "3" => Err("kernel.yama.ptrace_scope is 3: nobody may trace".to_owned()),
        "0" => Ok(()),
        scope => capable(SYS_PTRACE, "CAP_SYS_PTRACE").because(&format!("kernel.yama.ptrace_scope is {scope}")),
    }
}

pub(super) fn proc_mem() -> Answer {
    let area = Area::anonymous(page_size(), false).because("mmap")?;
    let tracee = tracee()?;
    let path = format!("/proc/{}/mem", tracee.pid());
    let memory = OpenOptions::new().write(true).open(&path).because(&path)?;
    memory.write_at(&[1], area.address() as u64).because("write into a page that is read only").map(drop)
}

pub(super) fn vm_readv() -> Answer {
    let mut area = Area::anonymous(page_size(), true).because("mmap")?;
    area.touch();
    let tracee = tracee()?;
    let mut byte = [0];
    let remote = [RemoteIoVec { base: area.address(), len: 1 }];
    process_vm_readv(tracee.pid(), &mut [IoSliceMut::new(&mut byte)], &remote).because("process_vm_readv")?;
    unless(byte[0] == area.read_at(0), "process_vm_readv read something else")
}

pub(super) fn peeksiginfo() -> Answer {
    tracee()?.queued_signals().because("PTRACE_PEEKSIGINFO").map(drop)
}

pub(super) fn children() -> Answer {
    let tracee = tracee()?;
    let path = "/proc/thread-self/children";
    let children = fs::read_to_string(path).because(path)?;
    let pid = tracee.pid().to_string();
    unless(children.split_whitespace().any(|p| p == pid), &format!("{path} does not name a child"))
}

pub(super) fn nspid() -> Answer {
    status("NSpid").map(drop)
}

pub(super) fn kcmp() -> Answer {
    let (file, me) = (File::open("/proc/self/status").because("/proc/self/status")?, getpid());
    let other = File::open("/proc/self/status").because("/proc/self/status")?;
    let same = probe::kcmp_files((me, file.as_fd()), (me, file.as_fd())).because("kcmp")?;
    let different = probe::kcmp_files((me, file.as_fd()), (me, other.as_fd())).because("kcmp")?;
    unless(same == 0 && different != 0, "kcmp does not tell files apart")
}

pub(super) fn kcmp_epoll() -> Answer {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).because("epoll_create1")?;
    let (reader, _writer) = nix::unistd::pipe().because("pipe")?;
    epoll.add(&reader, EpollEvent::new(EpollFlags::EPOLLIN, 0)).because("epoll_ctl")?;
    let order = probe::kcmp_epoll(getpid(), reader.as_fd(), epoll.0.as_fd()).because("KCMP_EPOLL_TFD")?;
    unless(order == 0, "KCMP_EPOLL_TFD does not find the descriptor")
}

pub(super) fn pidfds() -> Answer {
    let (reader, _writer) = nix::unistd::pipe().because("pipe")?;
    let tracee = tracee()?;
    let pidfd = probe::pidfd_open(tracee.pid()).because("pidfd_open")?;
    let copy = probe::pidfd_getfd(pidfd.as_fd(), reader.as_raw_fd()).because("pidfd_getfd")?;
    let same = nix::sys::stat::fstat(&copy).because("fstat")?.st_ino;
    unless(same == nix::sys::stat::fstat(&reader).because("fstat")?.st_ino, "pidfd_getfd returned another file")
}

pub(super) fn set_tid() -> Answer {
    probe::clone_with_tid().because("clone3 with set_tid")
}

pub(super) fn rseq() -> Answer {
    tracee()?.rseq_configuration().because("PTRACE_GET_RSEQ_CONFIGURATION").map(drop)
}

pub(super) fn seccomp_suspend() -> Answer {
    const PTRACE_O_SUSPEND_SECCOMP: i32 = 1 << 21;
    with_tracee(|| Ok(()), PTRACE_O_SUSPEND_SECCOMP).because("PTRACE_O_SUSPEND_SECCOMP").map(drop)
}

pub(super) fn seccomp_filters() -> Answer {
    let tracee = with_tracee(probe::install_filter, 0)?;
    tracee.seccomp_filter().because("PTRACE_SECCOMP_GET_FILTER").map(drop)
}

pub(super) fn membarrier_registrations() -> Answer {
    probe::barrier_registrations().because("membarrier").map(drop)
}

pub(super) fn timer_ids() -> Answer {
    probe::timer_restore_ids().because("PR_TIMER_CREATE_RESTORE_IDS").map(drop)
}

/// The kernel refuses a second vDSO with EEXIST, and does so only where it could map one.
fn vdso(code: i32, call: i64) -> Answer {
    match probe::map_vdso(call, code) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(e) => Err(format!("arch_prctl({code:#x}): {e}")),
    }
}

pub(super) fn map_vdso() -> Answer {
    let call = MAP_VDSO.ok_or("this CPU's kernel has no such call")?;
    vdso(call.native, call.call)
}

pub(super) fn compat() -> Answer {
    let call = MAP_VDSO.ok_or("32-bit programs of this CPU are not built yet")?;
    vdso(call.compat, call.call)
}

pub(super) fn shadow_stack() -> Answer {
    let call = MAP_VDSO.ok_or("not probed on this CPU")?;
    probe::shadow_stack_status(call.call, call.shadow_stack_status).because("ARCH_SHSTK_STATUS").map(drop)
}

pub(super) fn breakpoints() -> Answer {
    const ENABLE_FIRST: usize = 1;
    let tracee = tracee()?;
    match BREAKPOINTS {
        Some(Breakpoints::UserArea(first)) => {
            let enable = first + 7 * size_of::<usize>();
            tracee.poke_user(first, page_size()).because("PTRACE_POKEUSER of the first debug register")?;
            tracee.poke_user(enable, ENABLE_FIRST).because("PTRACE_POKEUSER of the control register")
        }
        Some(Breakpoints::RegisterSet(note)) => {
            let bytes = tracee.register_set(note).because("PTRACE_GETREGSET of breakpoints")?;
            unless(bytes > 8, "the CPU has no breakpoint registers")
        }
        None => Err("this CPU's kernel has no breakpoints for ptrace".to_owned()),
    }
}

pub(super) fn loginuid() -> Answer {
    let path = "/proc/self/loginuid";
    let uid = fs::read_to_string(path).because(path)?;
    probe::in_child(|| {
        let mut file = OpenOptions::new().write(true).open(path).because(path)?;
        file.write_all(uid.trim().as_bytes()).because(path)
    })
}
