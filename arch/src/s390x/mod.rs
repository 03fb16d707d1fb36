//! s390x: registers as ptrace(2) gives them, the system call ABI, the stub and the way home.
//!
//! The number of the call that a thread is in stands in a register set of its own, which the kernel reads again when
//! the thread goes on; here it is the last part of [`Regs`].

pub mod redirect;
pub mod state;
pub mod stub;

use crate::restart;
use crate::state::{NT_PRSTATUS, RegisterSet};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Stands for this CPU where code is chosen by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu;

/// The name of the CPU in images and messages, as uname(2) gives it.
pub const NAME: &str = "s390x";
/// `e_machine` of its ELF files.
pub const ELF_MACHINE: u16 = 22;
/// `EI_DATA` of its ELF files: big endian.
pub const ELF_DATA: u8 = 2;
/// `e_flags` of its ELF files.
pub const ELF_FLAGS: u32 = 0;
/// The system call instruction that takes the number from r1, `svc 0`.
pub const SYSCALL: [u8; 2] = [0x0a, 0x00];
/// The size of the system call instruction, in bytes.
pub const SYSCALL_LEN: u64 = 2;
/// Where instructions may begin: at multiples of so many bytes.
pub const CODE_ALIGN: usize = 2;
/// arch_prctl(2), which this CPU has not.
pub const NR_ARCH_PRCTL: Option<i64> = None;
/// The number of shmat(2).
pub const NR_SHMAT: i64 = 397;
/// The number of semtimedop(2).
pub const NR_SEMTIMEDOP: i64 = 392;
/// modify_ldt(2), which this CPU has not.
pub const NR_MODIFY_LDT: Option<i64> = None;
/// restart_syscall(2), which the kernel gives user space for an interrupted call with a restart block.
pub const NR_RESTART: i64 = 7;
/// Whether personality(2) neither tells of PER_LINUX32 nor lets a thread leave it.
pub const STAYS_LINUX32: bool = true;
/// Whether the kernel leaves the first argument where it was when it continues a call by restart_syscall(2).
pub const RESTART_KEEPS_ARGUMENT: bool = true;
/// poll(2).
pub const NR_POLL: Option<i64> = Some(168);
/// epoll_wait(2).
pub const NR_EPOLL_WAIT: Option<i64> = Some(250);
/// semop(2), where this CPU has it, and semtimedop(2).
pub const NR_SEMAPHORES: &[i64] = &[392];
/// Whether mmap(2) takes a pointer to its arguments.
pub const MMAP_BY_POINTER: bool = true;
/// The most that any address space reaches: four levels of page tables.
pub const ADDRESS_LIMIT: u64 = 1 << 53;
/// How a terminal's settings are asked for and set.
pub const TERMIOS: crate::Termios = crate::Termios::GENERIC;
/// Whether the kernel hides an interrupted call from a tracer.
pub const HIDES_CALLS: bool = false;
/// The number of the system call that a thread is in, and the length of its instruction.
const NT_S390_SYSTEM_CALL: u32 = 0x307;
/// What its 32-bit ABI does to interrupted calls is not looked at.
pub const COMPAT: Option<crate::Compat> = None;
/// The register sets that [`Regs`] is made of.
pub const REGISTER_SETS: &[RegisterSet] = &[
    RegisterSet { note: NT_PRSTATUS, offset: 0, len: 27 * 8 },
    RegisterSet { note: NT_S390_SYSTEM_CALL, offset: 27 * 8, len: 4 },
];

/// The integer and access registers: `s390_regs` of the kernel, NT_PRSTATUS; then NT_S390_SYSTEM_CALL.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable)]
#[allow(missing_docs)]
pub struct Regs {
    pub psw_mask: u64,
    pub psw_addr: u64,
    pub gprs: [u64; 16],
    pub acrs: [u32; 16],
    pub orig_gpr2: u64,
    /// The number below, the length of the instruction above; 0 outside a call.
    pub system_call: u32,
    pub unused: u32,
}

const _: () = assert!(size_of::<Regs>() == 28 * 8);

/// The bits of the mask that a program chooses: address space, condition code, program mask.
const PSW_USER: u64 = 0x0000_ff00_0000_0000;
/// Extended and basic addressing: 64 bits.
const PSW_64: u64 = 0x0000_0001_8000_0000;

impl Regs {
    /// The address of the next instruction.
    pub fn ip(&self) -> u64 {
        self.psw_addr
    }

    /// Sets the address of the next instruction.
    pub fn set_ip(&mut self, ip: u64) {
        self.psw_addr = ip;
    }

    /// The stack pointer.
    pub fn sp(&self) -> u64 {
        self.gprs[15]
    }

    /// Sets the stack pointer.
    pub fn set_sp(&mut self, sp: u64) {
        self.gprs[15] = sp;
    }

    /// The system call that the thread is in, if it is in one.
    pub fn syscall(&self) -> Option<i64> {
        (self.system_call != 0).then_some(i64::from(self.system_call & 0xffff))
    }

    /// What the system call is about to return: meaningful when [`Regs::syscall`] is `Some`.
    pub fn result(&self) -> i64 {
        self.gprs[2] as i64
    }

    /// Sets what the system call is about to return.
    pub fn set_result(&mut self, result: i64) {
        self.gprs[2] = result as u64;
    }

    /// The argument `n` (0 to 5) of the system call that the thread is in.
    pub fn argument(&self, n: usize) -> u64 {
        if n == 0 { self.orig_gpr2 } else { self.gprs[2 + n] }
    }

    /// Marks the thread as being in the system call `nr`, or in none: the kernel restarts only a thread that is.
    pub fn set_syscall(&mut self, nr: Option<i64>) {
        self.system_call = nr.map_or(0, |nr| (SYSCALL_LEN as u32) << 16 | nr as u32 & 0xffff);
    }

    /// What is seen of a call at a stop: the kernel of this CPU shows it.
    pub fn interrupted(&mut self, _word: impl Fn(u64) -> Option<[u8; 4]>, _first: Option<u64>) {}

    /// The registers that let the thread go on: as they are, the kernel decides what becomes of a call.
    pub fn given_back(&self, _handler: Option<bool>) -> Regs {
        *self
    }

    /// These registers with an interrupted call wound back to its instruction, as the kernel would do it where no
    /// handler runs. `block` is what happens to a call with a restart block: `true` makes it again (no register of this
    /// CPU says that it is to be continued), `false` makes it return EINTR.
    pub fn rewound(&self, block: bool) -> Regs {
        let mut regs = *self;
        if self.syscall().is_none() {
            return regs;
        }
        regs.set_syscall(None);
        match self.result() {
            restart::SYS | restart::NO_INTR | restart::NO_HAND => {}
            restart::BLOCK if block => {}
            restart::BLOCK => {
                regs.set_result(-4);
                regs.system_call = self.system_call;
                return regs;
            }
            _ => return regs,
        }
        regs.gprs[2] = self.orig_gpr2;
        regs.psw_addr = regs.psw_addr.wrapping_sub(SYSCALL_LEN);
        regs
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
        self.psw_mask = self.psw_mask & PSW_USER | own.psw_mask & !PSW_USER;
    }

    /// Whether the thread runs 64-bit code.
    pub fn is_native(&self) -> bool {
        self.psw_mask & PSW_64 == PSW_64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_wound_back_to_its_instruction() {
        let mut regs = Regs { psw_addr: 0x1002, orig_gpr2: 7, ..Regs::default() };
        regs.set_syscall(Some(3));
        regs.set_result(restart::SYS);
        assert_eq!((regs.syscall(), regs.system_call), (Some(3), 0x2_0003));
        let back = regs.rewound(true);
        assert_eq!((back.psw_addr, back.gprs[2], back.syscall()), (0x1000, 7, None));
        regs.set_result(restart::BLOCK);
        let ended = regs.rewound(false);
        assert_eq!((ended.psw_addr, ended.result()), (0x1002, -4));
    }
}
