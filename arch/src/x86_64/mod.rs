//! x86-64: registers as ptrace(2) gives them, the system call ABI, the stub and the way home.

pub mod redirect;
pub mod state;
pub mod stub;
pub mod xstate;

use crate::restart;
use crate::state::{NT_PRSTATUS, RegisterSet};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Stands for this CPU where code is chosen by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu;

/// The name of the CPU in images and messages, as uname(2) gives it.
pub const NAME: &str = "x86_64";
/// `e_machine` of its ELF files.
pub const ELF_MACHINE: u16 = 62;
/// `EI_DATA` of its ELF files: little endian.
pub const ELF_DATA: u8 = 1;
/// `e_flags` of its ELF files.
pub const ELF_FLAGS: u32 = 0;
/// The size of the system call instruction, in bytes.
pub const SYSCALL_LEN: u64 = 2;
/// The system call instruction.
pub const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// Where instructions may begin: at multiples of so many bytes.
pub const CODE_ALIGN: usize = 1;
/// arch_prctl(2).
pub const NR_ARCH_PRCTL: Option<i64> = Some(158);
/// The number of shmat(2).
pub const NR_SHMAT: i64 = 30;
/// The number of semtimedop(2).
pub const NR_SEMTIMEDOP: i64 = 220;
/// modify_ldt(2).
pub const NR_MODIFY_LDT: Option<i64> = Some(154);
/// Whether personality(2) neither tells of PER_LINUX32 nor lets a thread leave it.
pub const STAYS_LINUX32: bool = false;
/// Whether the kernel leaves the first argument where it was when it continues a call by restart_syscall(2).
pub const RESTART_KEEPS_ARGUMENT: bool = true;
/// poll(2), which not every CPU has.
pub const NR_POLL: Option<i64> = Some(7);
/// epoll_wait(2), which not every CPU has.
pub const NR_EPOLL_WAIT: Option<i64> = Some(232);
/// How a terminal's settings are asked for and set.
pub const TERMIOS: crate::Termios = crate::Termios::GENERIC;
/// Whether the kernel hides an interrupted call from a tracer.
pub const HIDES_CALLS: bool = false;
/// The 386's ABI: `struct user_regs_struct32`. The calls are epoll_wait, epoll_pwait and epoll_pwait2, rt_sigtimedwait
/// with times of 32 and 64 bits, io_getevents, futex_waitv, semtimedop with times of 64 bits, and ipc, of whose calls
/// only those of semaphores end so.
pub const COMPAT: Option<crate::Compat> = Some(crate::Compat {
    set: RegisterSet { note: NT_PRSTATUS, offset: 0, len: 17 * 4 },
    result: 6 * 4,
    number: 11 * 4,
    mended: &[256, 319, 441, 177, 421, 247, 449, 420, 117],
});
/// The register sets that [`Regs`] is made of.
pub const REGISTER_SETS: &[RegisterSet] = &[RegisterSet { note: NT_PRSTATUS, offset: 0, len: 27 * 8 }];
/// restart_syscall(2), which the kernel gives user space for an interrupted call with a restart block.
pub const NR_RESTART: i64 = 219;
/// The flags that a program may have set: arithmetic flags, direction, trap, alignment check, id, nested task.
const USER_FLAGS: u64 = 0x24_4dd5;
/// semop(2), where this CPU has it, and semtimedop(2).
pub const NR_SEMAPHORES: &[i64] = &[65, 220];
/// Whether mmap(2) takes a pointer to its arguments.
pub const MMAP_BY_POINTER: bool = false;
/// The most that any address space reaches (47 bits; five-level paging needs a hint to go beyond).
pub const ADDRESS_LIMIT: u64 = 1 << 47;

/// The integer registers: `struct user_regs_struct` of the kernel, NT_PRSTATUS.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable)]
#[allow(missing_docs)]
pub struct Regs {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub bp: u64,
    pub bx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub ax: u64,
    pub cx: u64,
    pub dx: u64,
    pub si: u64,
    pub di: u64,
    pub orig_ax: u64,
    pub ip: u64,
    pub cs: u64,
    pub flags: u64,
    pub sp: u64,
    pub ss: u64,
    pub fs_base: u64,
    pub gs_base: u64,
    pub ds: u64,
    pub es: u64,
    pub fs: u64,
    pub gs: u64,
}

const _: () = assert!(size_of::<Regs>() == 27 * 8);

/// The value of `orig_ax` outside a system call.
const NO_SYSCALL: u64 = u64::MAX;

impl Regs {
    /// The address of the next instruction.
    pub fn ip(&self) -> u64 {
        self.ip
    }

    /// Sets the address of the next instruction.
    pub fn set_ip(&mut self, ip: u64) {
        self.ip = ip;
    }

    /// Sets the stack pointer.
    pub fn set_sp(&mut self, sp: u64) {
        self.sp = sp;
    }

    /// The stack pointer.
    pub fn sp(&self) -> u64 {
        self.sp
    }

    /// The system call that the thread is in, if it is in one.
    pub fn syscall(&self) -> Option<i64> {
        ((self.orig_ax as i64) >= 0).then_some(self.orig_ax as i64)
    }

    /// What the system call is about to return: meaningful when [`Regs::syscall`] is `Some`.
    pub fn result(&self) -> i64 {
        self.ax as i64
    }

    /// Sets what the system call is about to return.
    pub fn set_result(&mut self, result: i64) {
        self.ax = result as u64;
    }

    /// The argument `n` (0 to 5) of the system call that the thread is in.
    pub fn argument(&self, n: usize) -> u64 {
        [self.di, self.si, self.dx, self.r10, self.r8, self.r9][n]
    }

    /// Marks the thread as being in the system call `nr`, or in none: the kernel restarts only a thread that is.
    pub fn set_syscall(&mut self, nr: Option<i64>) {
        self.orig_ax = nr.map_or(NO_SYSCALL, |nr| nr as u64);
    }

    /// These registers with an interrupted call wound back to its instruction, as the kernel would do it where no
    /// handler runs. `block` is what happens to a call with a restart block: `true` continues it by
    /// restart_syscall(2) (right only in the thread that was interrupted), `false` makes it return EINTR.
    pub fn rewound(&self, block: bool) -> Regs {
        let mut regs = *self;
        let Some(nr) = self.syscall() else { return regs };
        regs.set_syscall(None);
        let again = match self.result() {
            restart::SYS | restart::NO_INTR | restart::NO_HAND => nr,
            restart::BLOCK if block => NR_RESTART,
            restart::BLOCK => {
                regs.set_result(-4);
                regs.orig_ax = self.orig_ax;
                return regs;
            }
            _ => return regs,
        };
        regs.ax = again as u64;
        regs.ip = regs.ip.wrapping_sub(SYSCALL_LEN);
        regs
    }

    /// What is seen of a call at a stop: the kernel of this CPU shows it.
    pub fn interrupted(&mut self, _word: impl Fn(u64) -> Option<[u8; 4]>, _first: Option<u64>) {}

    /// The registers that let the thread go on: as they are, the kernel decides what becomes of a call.
    pub fn given_back(&self, _handler: Option<bool>) -> Regs {
        *self
    }

    /// Puts the thread back into the call `nr`, which stands before `ip` and is about to return `result`. `word` reads
    /// instructions.
    pub fn put_in_call(&mut self, nr: i64, ip: u64, result: i64, _word: impl Fn(u64) -> Option<[u8; 4]>) {
        self.set_ip(ip);
        self.set_syscall(Some(nr));
        self.set_result(result);
    }

    /// What a call made by [`Regs::at_call`] came to: its result, one of [`restart`] where it was interrupted.
    pub fn call_outcome(&self, _at: u64) -> i64 {
        self.result()
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
        (self.cs, self.ss) = (own.cs, own.ss);
        self.flags = self.flags & USER_FLAGS | own.flags & !USER_FLAGS;
    }

    /// Whether the thread runs 64-bit code.
    pub fn is_native(&self) -> bool {
        self.cs == 0x33
    }
}
