//! The only code that ever runs inside another process: the stub that walks a batch, where it parks, and the way
//! home that a thread takes by itself when its tracer is gone.

use super::Regs;
use crate::Park;
use crate::code::{Code, ending};
use crate::state::State;

/// Walks the batch, then parks, then goes home. Position independent. A second entry makes one call whose
/// arguments are in registers; when that call made an area, the thread itself writes rbp into its first word, so that
/// the area is marked however soon its tracer dies. What the call returned is left in rbx.
///
/// | register | holds |
/// |---|---|
/// | rbx | the next [`crate::Entry`] |
/// | r12 | how many are left |
/// | r13 | an empty signal set (8 zero bytes) |
/// | r14 | the way home |
/// | r15 | a timespec: how long to park |
///
/// Parked, it waits in rt_sigtimedwait(2) for a signal of the empty set: nothing but the time ends that, no
/// disposition matters, and the restart block stays as it was.
pub const DUMP: [u8; 86] = [
    0x4d, 0x85, 0xe4, // test r12, r12
    0x74, 0x2a, // je park
    0x48, 0x8b, 0x03, // mov rax, [rbx]
    0x48, 0x8b, 0x7b, 0x08, // mov rdi, [rbx + 8]
    0x48, 0x8b, 0x73, 0x10, // mov rsi, [rbx + 16]
    0x48, 0x8b, 0x53, 0x18, // mov rdx, [rbx + 24]
    0x4c, 0x8b, 0x53, 0x20, // mov r10, [rbx + 32]
    0x4c, 0x8b, 0x43, 0x28, // mov r8, [rbx + 40]
    0x4c, 0x8b, 0x4b, 0x30, // mov r9, [rbx + 48]
    0x0f, 0x05, // syscall
    0x48, 0x89, 0x43, 0x38, // mov [rbx + 56], rax
    0x48, 0x83, 0xc3, 0x40, // add rbx, 64
    0x49, 0xff, 0xcc, // dec r12
    0xeb, 0xd1, // jmp the start
    // park:
    0x4c, 0x89, 0xef, // mov rdi, r13
    0x31, 0xf6, // xor esi, esi
    0x4c, 0x89, 0xfa, // mov rdx, r15
    0x41, 0xba, 0x08, 0x00, 0x00, 0x00, // mov r10d, 8
    0xb8, 0x80, 0x00, 0x00, 0x00, // mov eax, 128 (rt_sigtimedwait)
    0x0f, 0x05, // syscall
    0x41, 0xff, 0xe6, // jmp r14
    // first: one call with its arguments in registers; an area that it made is marked; then park
    0x0f, 0x05, // syscall
    0x48, 0x89, 0xc3, // mov rbx, rax
    0x48, 0x85, 0xc0, // test rax, rax
    0x7e, 0xde, // jle park
    0x48, 0x89, 0x28, // mov [rax], rbp
    0xeb, 0xd9, // jmp park
];

/// Where in [`DUMP`] a thread starts that makes a single call, given in its registers.
const FIRST: u64 = 71;

/// Where in [`DUMP`] a thread stands whose waiting was ended: with the next instruction it goes home.
pub const PARKED: u64 = 68;

/// Where in the stub its system call instruction stands.
pub const SYSCALL: usize = 32;

/// Walks a batch in a task that is being restored and stops with a breakpoint: there the engine owns every signal
/// disposition. rbx and r12 as for [`DUMP`].
pub const RESTORE: [u8; 48] = ending(&DUMP, &[0xcc]);

/// The size of the breakpoint at the end of [`RESTORE`].
pub const BREAKPOINT_LEN: usize = 1;

impl Regs {
    /// These registers, set to run `count` entries of the batch at `entries` by the stub at `stub`.
    pub fn at_batch(&self, stub: u64, entries: u64, count: u64, park: Option<Park>) -> Regs {
        let mut regs = *self;
        regs.set_syscall(None);
        regs.ip = stub;
        regs.bx = entries;
        regs.r12 = count;
        regs.flags &= !0x400; // the direction flag plays no part, but a clean one surprises nobody
        if let Some(park) = park {
            regs.r13 = park.empty_set;
            regs.r14 = park.home;
            regs.r15 = park.timeout;
        }
        regs
    }

    /// These registers, set to make one call, write `mark` where the call returned an address, and park.
    pub fn at_first_call(&self, stub: u64, nr: i64, args: [u64; 6], mark: u64, park: Park) -> Regs {
        let mut regs = self.at_batch(stub + FIRST, 0, 0, Some(park));
        regs.bp = mark;
        regs.set_call(nr, args);
        regs
    }

    /// These registers, set to make one call by the system call instruction at `at`.
    pub fn at_call(&self, at: u64, nr: i64, args: [u64; 6]) -> Regs {
        let mut regs = *self;
        regs.set_syscall(None);
        regs.ip = at;
        regs.set_call(nr, args);
        regs
    }

    /// What the call of [`Regs::at_first_call`] returned, once the thread is parked.
    pub fn first_result(&self) -> i64 {
        self.bx as i64
    }

    fn set_call(&mut self, nr: i64, args: [u64; 6]) {
        self.ax = nr as u64;
        [self.di, self.si, self.dx, self.r10, self.r8, self.r9] = args;
    }
}

/// The register sets that [`way_home`] needs besides the integer registers: none.
pub const HOME_SETS: &[u32] = &[];

/// The most bytes that [`way_home`] generates.
pub const HOME_MAX: usize = 320;

/// Code that runs at `at` and takes a thread home: blocks all signals, restores the flags, gives the signal mask
/// back, loads every integer register as an immediate and jumps to where `regs` says. `regs` are rewound: the
/// thread makes an interrupted call again. Uses no memory of the thread but this code, and its own stack pointer from
/// before the mask is given back, so that a handler that runs on the way finds what it expects.
pub fn way_home(at: u64, regs: &Regs, mask: u64, _state: &State) -> Code {
    const RT_SIGPROCMASK: u64 = 14;
    let mut code = Code::new();
    // The data stands first: all signals, the mask, the flags, the instruction pointer.
    let data = at + 2;
    code.put(&[0xeb, 32]);
    for word in [u64::MAX, mask, regs.flags, regs.ip] {
        code.put(&word.to_le_bytes());
    }
    let sigprocmask = |code: &mut Code, set: u64| {
        load(code, 7, 2); // SIG_SETMASK
        load(code, 6, set);
        load(code, 2, 0);
        load(code, 10, 8);
        load(code, 0, RT_SIGPROCMASK);
        code.put(&[0x0f, 0x05]);
    };
    sigprocmask(&mut code, data);
    load(&mut code, 4, data + 16);
    code.put(&[0x9d]); // popfq
    load(&mut code, 4, regs.sp);
    sigprocmask(&mut code, data + 8);
    let order = [
        regs.ax, regs.cx, regs.dx, regs.bx, regs.sp, regs.bp, regs.si, regs.di, regs.r8, regs.r9, regs.r10, regs.r11,
        regs.r12, regs.r13, regs.r14, regs.r15,
    ];
    for (number, &value) in order.iter().enumerate() {
        if number != 4 {
            load(&mut code, number as u8, value);
        }
    }
    let after = at + code.len() as u64 + 6;
    let distance = (data + 24).wrapping_sub(after) as i32;
    code.put(&[0xff, 0x25]); // jmp [rip + distance]
    code.put(&distance.to_le_bytes());
    code
}

/// `mov REGISTER, value`, in the shorter form where the value fits; changes no flag.
fn load(code: &mut Code, register: u8, value: u64) {
    let high = register >> 3;
    let opcode = 0xb8 + (register & 7);
    match u32::try_from(value) {
        Ok(short) => {
            if high == 1 {
                code.put(&[0x41]);
            }
            code.put(&[opcode]);
            code.put(&short.to_le_bytes());
        }
        Err(_) => {
            code.put(&[0x48 | high, opcode]);
            code.put(&value.to_le_bytes());
        }
    }
}
