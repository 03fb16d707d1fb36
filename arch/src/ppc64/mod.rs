//! POWER, 64 bits, little endian: registers as ptrace(2) gives them, the system call ABI, the stub and the way home.
//!
//! `sc` tells an error by a bit of the condition register and a positive number in r3, `scv` by a negative one. The
//! engine sees the negative one: [`Regs::result`] and [`Regs::set_result`] know which instruction it was.

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
pub const NAME: &str = "ppc64le";
/// `e_machine` of its ELF files.
pub const ELF_MACHINE: u16 = 21;
/// `EI_DATA` of its ELF files: little endian.
pub const ELF_DATA: u8 = 1;
/// `e_flags` of its ELF files: version 2 of the ABI, or the entry would be a descriptor.
pub const ELF_FLAGS: u32 = 2;
/// The system call instruction, `sc`.
pub const SYSCALL: [u8; 4] = [0x02, 0x00, 0x00, 0x44];
/// The other system call instruction, `scv 0`.
const SYSCALL_VECTORED: [u8; 4] = [0x01, 0x00, 0x00, 0x44];
/// The size of the system call instruction, in bytes.
pub const SYSCALL_LEN: u64 = 4;
/// Where instructions may begin: at multiples of so many bytes.
pub const CODE_ALIGN: usize = 4;
/// arch_prctl(2), which this CPU has not.
pub const NR_ARCH_PRCTL: Option<i64> = None;
/// The number of shmat(2).
pub const NR_SHMAT: i64 = 397;
/// The number of semtimedop(2).
pub const NR_SEMTIMEDOP: i64 = 392;
/// modify_ldt(2), which this CPU has not.
pub const NR_MODIFY_LDT: Option<i64> = None;
/// restart_syscall(2), which the kernel gives user space for an interrupted call with a restart block.
pub const NR_RESTART: i64 = 0;
/// Whether personality(2) neither tells of PER_LINUX32 nor lets a thread leave it.
pub const STAYS_LINUX32: bool = true;
/// Whether the kernel leaves the first argument where it was when it continues a call by restart_syscall(2).
pub const RESTART_KEEPS_ARGUMENT: bool = false;
/// poll(2).
pub const NR_POLL: Option<i64> = Some(167);
/// epoll_wait(2).
pub const NR_EPOLL_WAIT: Option<i64> = Some(238);
/// semop(2), where this CPU has it, and semtimedop(2).
pub const NR_SEMAPHORES: &[i64] = &[392];
/// Whether mmap(2) takes a pointer to its arguments.
pub const MMAP_BY_POINTER: bool = false;
/// The most that any address space reaches (52 bits, with a hint above 47).
pub const ADDRESS_LIMIT: u64 = 1 << 52;
/// How a terminal's settings are asked for and set.
pub const TERMIOS: crate::Termios = crate::Termios::POWER;
/// Whether the kernel hides an interrupted call from a tracer.
pub const HIDES_CALLS: bool = false;
/// What its 32-bit ABI does to interrupted calls is not looked at.
pub const COMPAT: Option<crate::Compat> = None;
/// The register sets that [`Regs`] is made of.
pub const REGISTER_SETS: &[RegisterSet] = &[RegisterSet { note: NT_PRSTATUS, offset: 0, len: 48 * 8 }];

/// The integer registers: `elf_gregset_t` of the kernel, NT_PRSTATUS.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoBytes, FromBytes, Immutable)]
#[allow(missing_docs)]
pub struct Regs {
    pub gpr: [u64; 32],
    pub nip: u64,
    pub msr: u64,
    pub orig_gpr3: u64,
    pub ctr: u64,
    pub link: u64,
    pub xer: u64,
    pub ccr: u64,
    pub softe: u64,
    /// What brought the thread into the kernel.
    pub trap: u64,
    pub dar: u64,
    pub dsisr: u64,
    pub result: u64,
    pub unused: [u64; 4],
}

const _: () = assert!(size_of::<Regs>() == 48 * 8);

impl Default for Regs {
    fn default() -> Regs {
        zerocopy::FromZeros::new_zeroed()
    }
}

/// The traps of the two system call instructions; the lowest bits are flags of the kernel's.
mod trap {
    pub const SC: u64 = 0xc00;
    pub const SCV: u64 = 0x3000;
    pub const FLAGS: u64 = 0xf;
}

/// The bit of the condition register that tells an error (CR0.SO).
const SO: u64 = 0x1000_0000;

impl Regs {
    /// The address of the next instruction.
    pub fn ip(&self) -> u64 {
        self.nip
    }

    /// Sets the address of the next instruction.
    pub fn set_ip(&mut self, ip: u64) {
        self.nip = ip;
    }

    /// The stack pointer.
    pub fn sp(&self) -> u64 {
        self.gpr[1]
    }

    /// Sets the stack pointer.
    pub fn set_sp(&mut self, sp: u64) {
        self.gpr[1] = sp;
    }

    fn kind(&self) -> u64 {
        self.trap & !trap::FLAGS
    }

    /// The system call that the thread is in, if it is in one.
    pub fn syscall(&self) -> Option<i64> {
        [trap::SC, trap::SCV].contains(&self.kind()).then_some(self.gpr[0] as i64)
    }

    /// What the system call is about to return: meaningful when [`Regs::syscall`] is `Some`.
    pub fn result(&self) -> i64 {
        let raw = self.gpr[3] as i64;
        if self.kind() == trap::SC && self.ccr & SO != 0 { -raw } else { raw }
    }

    /// Sets what the system call is about to return.
    pub fn set_result(&mut self, result: i64) {
        let failed = (-4095..0).contains(&result);
        self.gpr[3] = result as u64;
        if self.kind() == trap::SC {
            self.ccr &= !SO;
            if failed {
                self.ccr |= SO;
                self.gpr[3] = result.unsigned_abs();
            }
        }
    }

    /// The argument `n` (0 to 5) of the system call that the thread is in.
    pub fn argument(&self, n: usize) -> u64 {
        if n == 0 { self.orig_gpr3 } else { self.gpr[3 + n] }
    }

    /// Marks the thread as being in the system call `nr`, or in none: the kernel restarts only a thread that is.
    pub fn set_syscall(&mut self, nr: Option<i64>) {
        match nr {
            None => self.trap = 0,
            Some(nr) => {
                self.gpr[0] = nr as u64;
                if self.syscall().is_none() {
                    self.trap = trap::SC;
                }
            }
        }
    }

    /// What is seen of a call at a stop: the kernel of this CPU shows it. One that we sent on by restart_syscall(2), and
    /// that has not come to that yet, is in it already.
    pub fn interrupted(&mut self, word: impl Fn(u64) -> Option<[u8; 4]>, _first: Option<u64>) {
        let calls = || word(self.nip).is_some_and(|word| [SYSCALL, SYSCALL_VECTORED].contains(&word));
        if self.syscall().is_none() && self.gpr[0] == NR_RESTART as u64 && calls() {
            self.orig_gpr3 = self.gpr[3];
            self.put_in_call(NR_RESTART, self.nip + SYSCALL_LEN, restart::BLOCK, word);
        }
    }

    /// The registers that let the thread go on: as they are, the kernel decides what becomes of a call.
    pub fn given_back(&self, _handler: Option<bool>) -> Regs {
        *self
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
            _ => {
                regs.set_syscall(None);
                return regs;
            }
        };
        regs.set_syscall(None);
        regs.gpr[0] = again as u64;
        regs.gpr[3] = self.orig_gpr3;
        regs.nip = regs.nip.wrapping_sub(SYSCALL_LEN);
        regs
    }

    /// Puts the thread back into the call `nr`, which stands before `ip` and is about to return `result`. `word` reads
    /// instructions.
    pub fn put_in_call(&mut self, nr: i64, ip: u64, result: i64, word: impl Fn(u64) -> Option<[u8; 4]>) {
        self.set_ip(ip);
        self.set_syscall(Some(nr));
        // It tells its errors otherwise.
        if word(ip.wrapping_sub(SYSCALL_LEN)) == Some(SYSCALL_VECTORED) {
            self.trap = trap::SCV;
        }
        self.set_result(result);
    }

    /// What a call made by [`Regs::at_call`] came to: its result, one of [`restart`] where it was interrupted.
    pub fn call_outcome(&self, _at: u64) -> i64 {
        self.result()
    }

    /// Whether [`Regs::argument`] still knows the first argument of a call that is continued by restart_syscall(2):
    /// where the kernel continued it, its own error is there, as the two instructions tell it.
    pub fn keeps_argument(&self) -> bool {
        ![restart::BLOCK, -restart::BLOCK].contains(&(self.orig_gpr3 as i64))
    }

    /// Of a sleep that is continued by restart_syscall(2), whether it is clock_nanosleep(2) rather than nanosleep(2);
    /// `None` where that cannot be told. `is_time` says whether a time stands at an address.
    ///
    /// Without the first argument, a relative sleep is the same by either clock that has restart blocks, and nanosleep can
    /// begin again with the time left, where the program asked for that.
    pub fn restarted_sleep(&mut self, is_time: impl Fn(u64) -> bool) -> Option<bool> {
        const CLOCK_MONOTONIC: u64 = 1;
        if self.keeps_argument() {
            // A pointer, or the number of a clock.
            return Some(self.argument(0) < 4096);
        }
        let (clock, first) = match self.argument(1) {
            // No flags and a time: the clock's call. nanosleep without a place for the time left seldom looks so.
            0 if is_time(self.argument(2)) => (true, CLOCK_MONOTONIC),
            left if is_time(left) => (false, left),
            _ => return None,
        };
        self.orig_gpr3 = first;
        Some(clock)
    }

    /// Takes from `own`, the registers of a fresh thread, what a program cannot choose.
    pub fn keep_privileged(&mut self, own: &Regs) {
        self.msr = own.msr;
        self.softe = own.softe;
    }

    /// Whether the thread runs 64-bit code.
    pub fn is_native(&self) -> bool {
        self.msr >> 63 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_call(kind: u64, result: i64) -> Regs {
        let mut regs = Regs { nip: 0x1004, trap: kind, orig_gpr3: 7, ..Regs::default() };
        regs.gpr[0] = 3;
        regs.set_result(result);
        regs
    }

    #[test]
    fn both_instructions_tell_errors_their_way() {
        let (sc, scv) = (in_call(trap::SC, -512), in_call(trap::SCV, -512));
        assert_eq!((sc.gpr[3], sc.ccr & SO), (512, SO));
        assert_eq!((scv.gpr[3] as i64, scv.ccr & SO), (-512, 0));
        assert_eq!((sc.result(), scv.result()), (-512, -512));
        assert_eq!(in_call(trap::SC, 5).result(), 5);
    }

    #[test]
    fn a_call_that_was_sent_on_is_in_its_restart() {
        let mut regs = in_call(trap::SC, restart::BLOCK).rewound(true);
        regs.interrupted(|at| (at == 0x1000).then_some(SYSCALL), None);
        assert_eq!((regs.nip, regs.syscall(), regs.result()), (0x1004, Some(NR_RESTART), restart::BLOCK));
        assert_eq!(regs.argument(0), 7);
        let mut other = Regs { nip: 0x1000, ..Regs::default() };
        other.interrupted(|_| Some([0; 4]), None);
        assert_eq!(other.syscall(), None);
    }

    #[test]
    fn a_call_is_wound_back_to_its_instruction() {
        let back = in_call(trap::SC, restart::SYS).rewound(true);
        assert_eq!((back.nip, back.gpr[3], back.gpr[0], back.syscall()), (0x1000, 7, 3, None));
        let block = in_call(trap::SC, restart::BLOCK);
        assert_eq!(block.rewound(true).gpr[0], 0);
        assert!(block.keeps_argument());
        let ended = block.rewound(false);
        assert_eq!((ended.nip, ended.result()), (0x1004, -4));
    }
}
