//! The only code that ever runs inside another process: the stub that walks a batch, where it parks, and the way
//! home that a thread takes by itself when its tracer is gone.

use super::Regs;
use super::state::{FPSIMD_LEN, NT_PRFPREG};
use crate::Park;
use crate::code::{Code, ending, little_endian};
use crate::state::State;

/// The stub's instructions. Walks the batch, then parks, then goes home. Position independent. A second entry makes
/// one call whose arguments are in registers; when that call made an area, the thread itself writes x24 into its first
/// word, so that the area is marked however soon its tracer dies. What the call returned is left in x19.
///
/// | register | holds |
/// |---|---|
/// | x19 | the next [`crate::Entry`] |
/// | x20 | how many are left |
/// | x21 | an empty signal set (8 zero bytes) |
/// | x22 | the way home |
/// | x23 | a timespec: how long to park |
///
/// Parked, it waits in rt_sigtimedwait(2) for a signal of the empty set: nothing but the time ends that, no
/// disposition matters, and the restart block stays as it was.
const CODE: [u32; 23] = [
    0xb400_0154, // cbz x20, park
    0xf940_0268, // ldr x8, [x19]
    0xa940_8660, // ldp x0, x1, [x19, #8]
    0xa941_8e62, // ldp x2, x3, [x19, #24]
    0xa942_9664, // ldp x4, x5, [x19, #40]
    0xd400_0001, // svc #0
    0xf900_1e60, // str x0, [x19, #56]
    0x9101_0273, // add x19, x19, #64
    0xd100_0694, // sub x20, x20, #1
    0x17ff_fff7, // b the start
    // park:
    0xaa15_03e0, // mov x0, x21
    0xd280_0001, // mov x1, #0
    0xaa17_03e2, // mov x2, x23
    0xd280_0103, // mov x3, #8
    0xd280_1128, // mov x8, #137 (rt_sigtimedwait)
    0xd400_0001, // svc #0
    0xd61f_02c0, // br x22
    // first: one call with its arguments in registers; an area that it made is marked; then park
    0xd400_0001, // svc #0
    0xaa00_03f3, // mov x19, x0
    0xf100_001f, // cmp x0, #0
    0x54ff_fecd, // b.le park
    0xf900_0018, // str x24, [x0]
    0x17ff_fff4, // b park
];

/// The stub.
pub const DUMP: [u8; 92] = little_endian(&CODE);

/// Where in [`DUMP`] a thread starts that makes a single call, given in its registers.
const FIRST: u64 = 17 * 4;

/// Where in [`DUMP`] a thread stands whose waiting was ended: with the next instruction it goes home.
pub const PARKED: u64 = 16 * 4;

/// Where in the stub its system call instruction stands.
pub const SYSCALL: usize = 5 * 4;

/// A breakpoint, `brk #0`.
const BREAKPOINT: u32 = 0xd420_0000;

/// Walks a batch in a task that is being restored and stops with a breakpoint: there the engine owns every signal
/// disposition. x19 and x20 as for [`DUMP`].
pub const RESTORE: [u8; 44] = ending(&DUMP, &BREAKPOINT.to_le_bytes());

/// The size of the breakpoint at the end of [`RESTORE`].
pub const BREAKPOINT_LEN: usize = 4;

impl Regs {
    /// These registers, set to run `count` entries of the batch at `entries` by the stub at `stub`.
    pub fn at_batch(&self, stub: u64, entries: u64, count: u64, park: Option<Park>) -> Regs {
        let mut regs = *self;
        regs.set_syscall(None);
        regs.pc = stub;
        // The type of the last branch is checked where pages are guarded.
        regs.pstate &= !super::state::PSTATE_BTYPE;
        regs.x[19] = entries;
        regs.x[20] = count;
        if let Some(park) = park {
            regs.x[21] = park.empty_set;
            regs.x[22] = park.home;
            regs.x[23] = park.timeout;
        }
        regs
    }

    /// These registers, set to make one call, write `mark` where the call returned an address, and park.
    pub fn at_first_call(&self, stub: u64, nr: i64, args: [u64; 6], mark: u64, park: Park) -> Regs {
        let mut regs = self.at_batch(stub + FIRST, 0, 0, Some(park));
        regs.x[24] = mark;
        regs.set_call(nr, args);
        regs
    }

    /// These registers, set to make one call by the system call instruction at `at`.
    pub fn at_call(&self, at: u64, nr: i64, args: [u64; 6]) -> Regs {
        let mut regs = *self;
        regs.set_syscall(None);
        regs.pc = at;
        regs.pstate &= !super::state::PSTATE_BTYPE;
        regs.set_call(nr, args);
        regs
    }

    /// What the call of [`Regs::at_first_call`] returned, once the thread is parked.
    pub fn first_result(&self) -> i64 {
        self.x[19] as i64
    }

    fn set_call(&mut self, nr: i64, args: [u64; 6]) {
        self.x[8] = nr as u64;
        self.x[..6].copy_from_slice(&args);
    }
}

/// Offsets in the kernel's `struct rt_sigframe` (asm/sigcontext.h, asm/ucontext.h): the signal's description comes
/// first and is not read; then flags and link of the context, which are not read either.
mod frame {
    pub const STACK: usize = 144;
    pub const MASK: usize = 168;
    /// Reserved words behind the mask: room for the code.
    pub const GAP: usize = 176;
    pub const REGISTERS: usize = 312;
    pub const FPSIMD: usize = 592;
    pub const END: usize = 1128;
}

/// The register sets that [`way_home`] needs besides the integer registers.
pub const HOME_SETS: &[u32] = &[NT_PRFPREG];

/// The most bytes that [`way_home`] generates.
pub const HOME_MAX: usize = frame::END - frame::STACK;

/// Code that runs at `at`, a multiple of 16, and takes a thread home: blocks all signals and returns from a signal that
/// never was, by a frame that holds mask and registers. No other way loads the program counter without losing a
/// register. `regs` are rewound: the thread makes an interrupted call again. A sleep begins again from its start, as
/// rt_sigreturn(2) forgets how much of it is left; the parts of the vector registers that a system call destroys
/// anyway are not in the frame.
pub fn way_home(at: u64, regs: &Regs, mask: u64, state: &State) -> Code {
    debug_assert!(at.is_multiple_of(16));
    let mut bytes = [0u8; HOME_MAX];
    let mut put = |offset: usize, data: &[u8]| bytes[offset - frame::STACK..][..data.len()].copy_from_slice(data);
    // The field of the alternate stack's address holds the entry; flags that are none leave the stack as it is.
    put(frame::STACK, &little_endian::<2, 8>(&[0xd503_24df, 0x1400_0009])); // bti jc; b the code
    put(frame::STACK + 8, &u64::from(u32::MAX).to_le_bytes());
    put(frame::MASK, &mask.to_le_bytes());
    put(frame::GAP, &u64::MAX.to_le_bytes());
    let code = [
        0xd280_0040, // mov x0, #2 (SIG_SETMASK)
        0x10ff_ffa1, // adr x1, all signals (12 bytes before)
        0xd280_0002, // mov x2, #0
        0xd280_0103, // mov x3, #8
        0xd280_10e8, // mov x8, #135 (rt_sigprocmask)
        0xd400_0001, // svc #0
        0x10ff_f989, // adr x9, the frame (208 bytes before)
        0x9100_013f, // mov sp, x9
        0xd280_1168, // mov x8, #139 (rt_sigreturn)
        0xd400_0001, // svc #0
    ];
    put(frame::GAP + 8, &little_endian::<10, 40>(&code));
    let mut offset = frame::REGISTERS;
    for word in regs.x.into_iter().chain([regs.sp, regs.pc, regs.pstate]) {
        put(offset, &word.to_le_bytes());
        offset += 8;
    }
    put(frame::FPSIMD, &little_endian::<2, 8>(&[0x4650_8001, 528])); // magic and size of the record
    let fpsimd = state.get(NT_PRFPREG).filter(|set| set.len() >= FPSIMD_LEN);
    if let Some((registers, control)) = fpsimd.and_then(|set| set.split_at_checked(512)) {
        put(frame::FPSIMD + 8, &control[..8]);
        put(frame::FPSIMD + 16, registers);
    }
    let mut out = Code::new();
    out.put(&bytes);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_holds_every_register() {
        let mut regs = Regs { sp: 0x7000, pc: 0x8000, pstate: 0x6000_0000, ..Regs::default() };
        regs.x = core::array::from_fn(|n| 0x100 + n as u64);
        let mut fpsimd = alloc::vec![0u8; 528];
        fpsimd[0] = 1;
        fpsimd[511] = 2;
        fpsimd[512] = 3;
        let mut state = State::default();
        state.put(NT_PRFPREG, fpsimd);
        let code = way_home(0x1000, &regs, 0xabc, &state);
        let bytes = code.as_bytes();
        let word = |frame_offset: usize| {
            let at = frame_offset - frame::STACK;
            u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
        };
        assert_eq!(word(frame::MASK), 0xabc);
        assert_eq!((word(312), word(312 + 30 * 8)), (0x100, 0x11e));
        assert_eq!((word(560), word(568), word(576)), (0x7000, 0x8000, 0x6000_0000));
        assert_eq!(word(592), 528 << 32 | 0x4650_8001);
        assert_eq!(word(600), 3);
        assert_eq!((word(608) & 0xff, word(1112) >> 56), (1, 2));
        assert_eq!(word(1120), 0);
    }

    /// The address that an `adr` at `at` loads.
    fn adr(at: usize, instruction: u32) -> i64 {
        let immediate = (instruction >> 5 & 0x7_ffff) << 2 | instruction >> 29 & 3;
        at as i64 + i64::from(((immediate << 11) as i32) >> 11)
    }

    #[test]
    fn the_way_home_finds_its_frame() {
        let code = way_home(0, &Regs::default(), 0, &State::default());
        let word = |at: usize| u32::from_le_bytes(code.as_bytes()[at..at + 4].try_into().expect("four bytes"));
        // The branch behind the landing pad leads to the code.
        assert_eq!(4 + (word(4) as usize & 0x3ff_ffff) * 4, frame::GAP + 8 - frame::STACK);
        let start = frame::GAP + 8;
        assert_eq!(adr(start + 4, word(start + 4 - frame::STACK)), frame::GAP as i64);
        assert_eq!(adr(start + 24, word(start + 24 - frame::STACK)), 0);
    }

    #[test]
    fn the_branches_of_the_stub_meet() {
        // cbz to the park, b to the start, b.le and b to the park.
        assert_eq!(CODE[0] >> 5 & 0x7_ffff, 10);
        assert_eq!(CODE[9] & 0x3ff_ffff, 0x400_0000 - 9);
        assert_eq!(20 - (0x8_0000 - (CODE[20] >> 5 & 0x7_ffff)), 10);
        assert_eq!(22 - (0x400_0000 - (CODE[22] & 0x3ff_ffff)), 10);
        assert_eq!(DUMP[SYSCALL..SYSCALL + 4], super::super::SYSCALL);
        assert_eq!(DUMP[FIRST as usize..][..4], super::super::SYSCALL);
    }
}
