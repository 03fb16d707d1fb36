//! AArch64: registers as ptrace(2) gives them, the system call ABI, the stub and the way home.
//!
//! The kernel winds an interrupted call back *before* a tracer sees the thread: it shows the program counter at the
//! `svc`, the first argument in x0, and keeps what the call returned in variables of its own, which are lost as soon as
//! the thread runs something else. So [`Regs`] has two words of the engine's own: [`Regs::interrupted`] sets them when
//! the thread stands at an `svc`, and [`Regs::given_back`] does what the kernel would have done.

pub mod calls;
pub mod redirect;
pub mod state;
pub mod stub;

use crate::Ending;
use crate::restart;
use crate::state::{NT_PRSTATUS, RegisterSet};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Stands for this CPU where code is chosen by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu;

/// The name of the CPU in images and messages, as uname(2) gives it.
pub const NAME: &str = "aarch64";
/// `e_machine` of its ELF files.
pub const ELF_MACHINE: u16 = 183;
/// `EI_DATA` of its ELF files: little endian.
pub const ELF_DATA: u8 = 1;
/// `e_flags` of its ELF files.
pub const ELF_FLAGS: u32 = 0;
/// The system call instruction, `svc #0`.
pub const SYSCALL: [u8; 4] = [0x01, 0x00, 0x00, 0xd4];
/// The size of the system call instruction, in bytes.
pub const SYSCALL_LEN: u64 = 4;
/// Where instructions may begin: at multiples of so many bytes.
pub const CODE_ALIGN: usize = 4;
/// arch_prctl(2), which this CPU has not.
pub const NR_ARCH_PRCTL: Option<i64> = None;
/// The number of shmat(2).
pub const NR_SHMAT: i64 = 196;
/// The number of semtimedop(2).
pub const NR_SEMTIMEDOP: i64 = 192;
/// modify_ldt(2), which this CPU has not.
pub const NR_MODIFY_LDT: Option<i64> = None;
/// restart_syscall(2), which the kernel gives user space for an interrupted call with a restart block.
pub const NR_RESTART: i64 = 128;
/// Whether personality(2) neither tells of PER_LINUX32 nor lets a thread leave it.
pub const STAYS_LINUX32: bool = false;
/// Whether the kernel leaves the first argument where it was when it continues a call by restart_syscall(2).
pub const RESTART_KEEPS_ARGUMENT: bool = true;
/// poll(2), which this CPU has not.
pub const NR_POLL: Option<i64> = None;
/// epoll_wait(2), which this CPU has not.
pub const NR_EPOLL_WAIT: Option<i64> = None;
/// semop(2), where this CPU has it, and semtimedop(2).
pub const NR_SEMAPHORES: &[i64] = &[193, 192];
/// Whether mmap(2) takes a pointer to its arguments.
pub const MMAP_BY_POINTER: bool = false;
/// The most that any address space reaches (52 bits; most kernels give 48, some 39).
pub const ADDRESS_LIMIT: u64 = 1 << 52;
/// How a terminal's settings are asked for and set.
pub const TERMIOS: crate::Termios = crate::Termios::GENERIC;
/// Whether the kernel hides an interrupted call from a tracer: what is known of it comes from [`calls`].
pub const HIDES_CALLS: bool = true;
/// What its 32-bit ABI does to interrupted calls is not looked at.
pub const COMPAT: Option<crate::Compat> = None;
/// The register sets that [`Regs`] is made of.
pub const REGISTER_SETS: &[RegisterSet] = &[RegisterSet { note: NT_PRSTATUS, offset: 0, len: 34 * 8 }];

/// The integer registers: `struct user_pt_regs` of the kernel, NT_PRSTATUS; then what the kernel keeps to itself.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable)]
#[allow(missing_docs)]
pub struct Regs {
    pub x: [u64; 31],
    pub sp: u64,
    pub pc: u64,
    pub pstate: u64,
    /// The first argument of the call that the thread is in.
    pub orig_x0: u64,
    /// The number of that call and one more; 0 outside a call.
    pub call: u64,
}

const _: () = assert!(size_of::<Regs>() == 36 * 8);

/// The condition flags of pstate: the only bits that a program chooses.
const NZCV: u64 = 0xf << 28;
/// SSBS, which a program may set by itself where the CPU has it.
const SSBS: u64 = 1 << 12;

impl Regs {
    /// The address of the next instruction.
    pub fn ip(&self) -> u64 {
        self.pc
    }

    /// Sets the address of the next instruction.
    pub fn set_ip(&mut self, ip: u64) {
        self.pc = ip;
    }

    /// The stack pointer.
    pub fn sp(&self) -> u64 {
        self.sp
    }

    /// Sets the stack pointer.
    pub fn set_sp(&mut self, sp: u64) {
        self.sp = sp;
    }

    /// The system call that the thread is in, if it is in one.
    pub fn syscall(&self) -> Option<i64> {
        self.call.checked_sub(1).map(|nr| nr as i64)
    }

    /// What the system call is about to return: meaningful when [`Regs::syscall`] is `Some`.
    pub fn result(&self) -> i64 {
        self.x[0] as i64
    }

    /// Sets what the system call is about to return.
    pub fn set_result(&mut self, result: i64) {
        self.x[0] = result as u64;
    }

    /// The argument `n` (0 to 5) of the system call that the thread is in.
    pub fn argument(&self, n: usize) -> u64 {
        if n == 0 { self.orig_x0 } else { self.x[n] }
    }

    /// Marks the thread as being in the system call `nr`, or in none.
    pub fn set_syscall(&mut self, nr: Option<i64>) {
        if self.call == 0 && nr.is_some() {
            self.orig_x0 = self.x[0];
        }
        self.call = nr.map_or(0, |nr| nr as u64 + 1);
    }

    /// What is seen of a call at a stop: `word` reads instructions. A thread at an `svc` is taken as being in its call,
    /// interrupted: whether it was in it, or about to make it, cannot be told apart, also not by the program. `first` is
    /// the first argument of the call that the thread was seen in before it was stopped, where that is known.
    pub fn interrupted(&mut self, word: impl Fn(u64) -> Option<[u8; 4]>, first: Option<u64>) {
        const EINTR: i64 = -4;
        let nr = self.x[8] as i64;
        if word(self.pc) == Some(SYSCALL) {
            self.set_syscall(Some(nr));
            self.pc += SYSCALL_LEN;
            let Ending::Restart(result) = calls::ending(nr, |n| self.argument(n)) else {
                self.set_result(restart::NO_HAND);
                return;
            };
            self.set_result(result);
        } else if let Some(first) = first
            && self.result() == EINTR
            && word(self.pc.wrapping_sub(SYSCALL_LEN)) == Some(SYSCALL)
        {
            self.call = nr as u64 + 1;
            self.orig_x0 = first;
        }
    }

    /// The registers that let the thread go on: the call that it is in is made again, or ended with EINTR where
    /// `handler` tells that a handler runs first, and whether that has SA_RESTART. The kernel of this CPU does not
    /// decide that for registers that it is given.
    pub fn given_back(&self, handler: Option<bool>) -> Regs {
        let mut regs = self.rewound(true);
        if let (Some(_), Some(restarts)) = (self.syscall(), handler) {
            let ends = match self.result() {
                restart::NO_HAND | restart::BLOCK => true,
                restart::SYS => !restarts,
                _ => false,
            };
            if ends {
                regs = *self;
                regs.set_result(-4);
            }
        }
        regs.set_syscall(None);
        regs
    }

    /// These registers with an interrupted call wound back to its instruction, as the kernel would do it where no
    /// handler runs. `block` is what happens to a call with a restart block: `true` continues it by
    /// restart_syscall(2) (right only in the thread that was interrupted), `false` makes it return EINTR.
    pub fn rewound(&self, block: bool) -> Regs {
        let mut regs = *self;
        let Some(nr) = self.syscall() else { return regs };
        let again = match self.result() {
            restart::SYS | restart::NO_INTR | restart::NO_HAND => nr,
            restart::BLOCK if block => NR_RESTART,
            restart::BLOCK => {
                regs.set_result(-4);
                return regs;
            }
            _ => return regs,
        };
        regs.set_syscall(None);
        regs.x[0] = self.orig_x0;
        regs.x[8] = again as u64;
        regs.pc = regs.pc.wrapping_sub(SYSCALL_LEN);
        regs
    }

    /// Puts the thread back into the call `nr`, which stands before `ip` and is about to return `result`. `word` reads
    /// instructions.
    pub fn put_in_call(&mut self, nr: i64, ip: u64, result: i64, _word: impl Fn(u64) -> Option<[u8; 4]>) {
        self.set_ip(ip);
        self.set_syscall(Some(nr));
        self.set_result(result);
    }

    /// What a call made by [`Regs::at_call`] at `at` came to: its result, one of [`restart`] where it was interrupted.
    pub fn call_outcome(&self, at: u64) -> i64 {
        // The kernel has wound it back already.
        if self.pc == at { calls::interrupted_by_stop(self.x[8] as i64, |n| self.x[n]) } else { self.result() }
    }

    /// Whether [`Regs::argument`] still knows the first argument of a call that is continued by restart_syscall(2).
    pub fn keeps_argument(&self) -> bool {
        true
    }

    /// Of a sleep that is continued by restart_syscall(2), whether it is clock_nanosleep(2) rather than nanosleep(2);
    /// `None` where that cannot be told. `is_time` says whether a time stands at an address.
    pub fn restarted_sleep(&mut self, _is_time: impl Fn(u64) -> bool) -> Option<bool> {
        // nanosleep takes a pointer first, clock_nanosleep the number of a clock.
        Some(self.argument(0) < 4096)
    }

    /// Takes from `own`, the registers of a fresh thread, what a program cannot choose.
    pub fn keep_privileged(&mut self, own: &Regs) {
        const USER: u64 = NZCV | SSBS;
        self.pstate = self.pstate & USER | own.pstate & !USER;
    }

    /// Whether the thread runs 64-bit code.
    pub fn is_native(&self) -> bool {
        self.pstate & 0x10 == 0
    }
}
