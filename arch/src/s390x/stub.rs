//! The only code that ever runs inside another process: the stub that walks a batch, where it parks, and the way
//! home that a thread takes by itself when its tracer is gone.

use super::Regs;
use super::state::{NT_PRFPREG, NT_S390_VXRS_HIGH, NT_S390_VXRS_LOW};
use crate::Park;
use crate::code::{Code, ending};
use crate::state::State;

/// Walks the batch, then parks, then goes home. Position independent. A second entry makes one call whose
/// arguments are in registers; when that call made an area, the thread itself writes r13 into its first word, so that
/// the area is marked however soon its tracer dies. What the call returned is left in r8.
///
/// | register | holds |
/// |---|---|
/// | r8 | the next [`crate::Entry`] |
/// | r9 | how many are left |
/// | r10 | an empty signal set (8 zero bytes) |
/// | r11 | the way home |
/// | r12 | a timespec: how long to park |
///
/// Parked, it waits in rt_sigtimedwait(2) for a signal of the empty set: nothing but the time ends that, no
/// disposition matters, and the restart block stays as it was.
pub const DUMP: [u8; 84] = [
    0xb9, 0x02, 0x00, 0x99, // ltgr %r9, %r9
    0xa7, 0x84, 0x00, 0x12, // je park
    0xe3, 0x10, 0x80, 0x00, 0x00, 0x04, // lg %r1, 0(%r8)
    0xeb, 0x27, 0x80, 0x08, 0x00, 0x04, // lmg %r2, %r7, 8(%r8)
    0x0a, 0x00, // svc 0
    0xe3, 0x20, 0x80, 0x38, 0x00, 0x24, // stg %r2, 56(%r8)
    0x41, 0x80, 0x80, 0x40, // la %r8, 64(%r8)
    0xa7, 0x9b, 0xff, 0xff, // aghi %r9, -1
    0xa7, 0xf4, 0xff, 0xee, // j the start
    // park:
    0xb9, 0x04, 0x00, 0x2a, // lgr %r2, %r10
    0xa7, 0x39, 0x00, 0x00, // lghi %r3, 0
    0xb9, 0x04, 0x00, 0x4c, // lgr %r4, %r12
    0xa7, 0x59, 0x00, 0x08, // lghi %r5, 8
    0x0a, 0xb1, // svc 177 (rt_sigtimedwait)
    0x07, 0xfb, // br %r11
    // first: one call with its arguments in registers; an area that it made is marked; then park
    0x0a, 0x00, // svc 0
    0xb9, 0x04, 0x00, 0x82, // lgr %r8, %r2
    0xb9, 0x02, 0x00, 0x22, // ltgr %r2, %r2
    0xa7, 0xd4, 0xff, 0xf1, // jnh park
    0xe3, 0xd0, 0x20, 0x00, 0x00, 0x24, // stg %r13, 0(%r2)
    0xa7, 0xf4, 0xff, 0xec, // j park
];

/// Where in [`DUMP`] a thread starts that makes a single call, given in its registers.
const FIRST: u64 = 60;

/// Where in [`DUMP`] a thread stands whose waiting was ended: with the next instruction it goes home.
pub const PARKED: u64 = 58;

/// Where in the stub its system call instruction stands.
pub const SYSCALL: usize = 20;

/// The size of the breakpoint at the end of [`RESTORE`].
pub const BREAKPOINT_LEN: usize = 2;

/// Walks a batch in a task that is being restored and stops with a breakpoint (an operation that is none): there the
/// engine owns every signal disposition. r8 and r9 as for [`DUMP`].
pub const RESTORE: [u8; 42] = ending(&DUMP, &[0, 1]);

impl Regs {
    /// These registers, set to run `count` entries of the batch at `entries` by the stub at `stub`.
    pub fn at_batch(&self, stub: u64, entries: u64, count: u64, park: Option<Park>) -> Regs {
        let mut regs = *self;
        regs.set_syscall(None);
        regs.psw_addr = stub;
        // Addresses of the stub's are those of the primary space.
        regs.psw_mask &= !super::state::PSW_ADDRESS_SPACE;
        regs.gprs[8] = entries;
        regs.gprs[9] = count;
        if let Some(park) = park {
            regs.gprs[10] = park.empty_set;
            regs.gprs[11] = park.home;
            regs.gprs[12] = park.timeout;
        }
        regs
    }

    /// These registers, set to make one call, write `mark` where the call returned an address, and park.
    pub fn at_first_call(&self, stub: u64, nr: i64, args: [u64; 6], mark: u64, park: Park) -> Regs {
        let mut regs = self.at_batch(stub + FIRST, 0, 0, Some(park));
        regs.gprs[13] = mark;
        regs.set_call(nr, args);
        regs
    }

    /// These registers, set to make one call by the system call instruction at `at`.
    pub fn at_call(&self, at: u64, nr: i64, args: [u64; 6]) -> Regs {
        let mut regs = *self;
        regs.set_syscall(None);
        regs.psw_addr = at;
        regs.psw_mask &= !super::state::PSW_ADDRESS_SPACE;
        regs.set_call(nr, args);
        regs
    }

    /// What the call of [`Regs::at_first_call`] returned, once the thread is parked.
    pub fn first_result(&self) -> i64 {
        self.gprs[8] as i64
    }

    fn set_call(&mut self, nr: i64, args: [u64; 6]) {
        self.gprs[1] = nr as u64;
        self.gprs[2..8].copy_from_slice(&args);
    }
}

/// Offsets in the kernel's `struct rt_sigframe` (asm/sigcontext.h, asm/ucontext.h): room for a callee, an instruction
/// and the signal's description come first and are not read; then flags and link of the context, which are not read
/// either.
mod frame {
    pub const STACK: usize = 312;
    pub const REGISTERS: usize = 336;
    pub const CONTROL: usize = 544;
    pub const MASK: usize = 680;
    /// Reserved words behind the mask: room for the code.
    pub const GAP: usize = 688;
    pub const LOW: usize = 808;
    pub const HIGH: usize = 936;
    pub const END: usize = 1192;
}

/// The register sets that [`way_home`] needs besides the integer registers.
pub const HOME_SETS: &[u32] = &[NT_PRFPREG, NT_S390_VXRS_LOW, NT_S390_VXRS_HIGH];

/// The most bytes that [`way_home`] generates.
pub const HOME_MAX: usize = frame::END - frame::STACK;

/// Code that runs at `at`, a multiple of 16, and takes a thread home: blocks all signals and returns from a signal that
/// never was, by a frame that holds mask and registers. No other way loads the next instruction's address without
/// losing a register. `regs` are rewound: the thread makes an interrupted call again. A sleep begins again from its
/// start, as rt_sigreturn(2) forgets how much of it is left.
pub fn way_home(at: u64, regs: &Regs, mask: u64, state: &State) -> Code {
    debug_assert!(at.is_multiple_of(16));
    let mut bytes = [0u8; HOME_MAX];
    let mut put = |offset: usize, data: &[u8]| bytes[offset - frame::STACK..][..data.len()].copy_from_slice(data);
    // The field of the alternate stack's address holds the entry; flags that are none leave the stack as it is.
    put(frame::STACK, &[0xc0, 0xf4, 0x00, 0x00, 0x00, 0xc0]); // jg the code, 384 bytes ahead
    put(frame::STACK + 8, &u32::MAX.to_be_bytes());
    put(frame::MASK, &mask.to_be_bytes());
    put(frame::GAP, &[0xff; 8]);
    let code = [
        0xa7, 0x29, 0x00, 0x02, // lghi %r2, 2 (SIG_SETMASK)
        0xc0, 0x30, 0xff, 0xff, 0xff, 0xfa, // larl %r3, all signals (12 bytes before)
        0xa7, 0x49, 0x00, 0x00, // lghi %r4, 0
        0xa7, 0x59, 0x00, 0x08, // lghi %r5, 8
        0x0a, 0xaf, // svc 175 (rt_sigprocmask)
        0xc0, 0xf0, 0xff, 0xff, 0xfe, 0x9a, // larl %r15, the frame (716 bytes before)
        0x0a, 0xad, // svc 173 (rt_sigreturn)
    ];
    put(frame::GAP + 8, &code);
    let mut offset = frame::REGISTERS;
    for word in [regs.psw_mask, regs.psw_addr].into_iter().chain(regs.gprs) {
        put(offset, &word.to_be_bytes());
        offset += 8;
    }
    for word in regs.acrs {
        put(offset, &word.to_be_bytes());
        offset += 4;
    }
    // Control word, padding, 16 registers: the same in the set as in the frame.
    for (note, offset, len) in
        [(NT_PRFPREG, frame::CONTROL, 136), (NT_S390_VXRS_LOW, frame::LOW, 128), (NT_S390_VXRS_HIGH, frame::HIGH, 256)]
    {
        if let Some(set) = state.get(note).filter(|set| set.len() >= len) {
            put(offset, &set[..len]);
        }
    }
    let mut out = Code::new();
    out.put(&bytes);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a relative instruction of 6 bytes at `at` leads.
    fn target(at: usize, code: &[u8]) -> i64 {
        let distance = i32::from_be_bytes(code[2..6].try_into().expect("four bytes"));
        at as i64 + 2 * i64::from(distance)
    }

    #[test]
    fn the_way_home_finds_its_frame() {
        let code = way_home(0x1000, &Regs { psw_addr: 0x77, ..Regs::default() }, 5, &State::default());
        let bytes = code.as_bytes();
        assert_eq!(target(frame::STACK, bytes), frame::GAP as i64 + 8);
        let mask = frame::GAP + 8 + 4;
        assert_eq!(target(mask, &bytes[mask - frame::STACK..]), frame::GAP as i64);
        let stack = frame::GAP + 8 + 20;
        assert_eq!(target(stack, &bytes[stack - frame::STACK..]), 0);
        assert_eq!(bytes[frame::REGISTERS + 15 - frame::STACK], 0x77);
        assert_eq!(bytes[frame::MASK + 7 - frame::STACK], 5);
    }

    #[test]
    fn the_branches_of_the_stub_meet() {
        let jump = |at: usize| at as i64 + 2 * i64::from(i16::from_be_bytes([DUMP[at + 2], DUMP[at + 3]]));
        assert_eq!((jump(4), jump(36), jump(70), jump(80)), (40, 0, 40, 40));
        assert_eq!(DUMP[SYSCALL..SYSCALL + 2], super::super::SYSCALL);
        assert_eq!(DUMP[FIRST as usize..][..2], super::super::SYSCALL);
    }
}
