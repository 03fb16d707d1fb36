//! The only code that ever runs inside another process: the stub that walks a batch, where it parks, and the way
//! home that a thread takes by itself when its tracer is gone.

use super::Regs;
use crate::Park;
use crate::code::{Code, ending, little_endian};
use crate::state::State;

/// The stub's instructions. Walks the batch, then parks, then goes home. Position independent. A second entry makes
/// one call whose arguments are in registers; when that call made an area, the thread itself writes r19 into its first
/// word, so that the area is marked however soon its tracer dies. What the call returned is left in r20.
///
/// | register | holds |
/// |---|---|
/// | r14 | the next [`crate::Entry`] |
/// | r15 | how many are left |
/// | r16 | an empty signal set (8 zero bytes) |
/// | r17 | the way home |
/// | r18 | a timespec: how long to park |
///
/// Parked, it waits in rt_sigtimedwait(2) for a signal of the empty set: nothing but the time ends that, no
/// disposition matters, and the restart block stays as it was.
const CODE: [u32; 32] = [
    0x2c2f_0000, // cmpdi r15, 0
    0x4182_003c, // beq park
    0xe80e_0000, // ld r0, 0(r14)
    0xe86e_0008, // ld r3, 8(r14)
    0xe88e_0010, // ld r4, 16(r14)
    0xe8ae_0018, // ld r5, 24(r14)
    0xe8ce_0020, // ld r6, 32(r14)
    0xe8ee_0028, // ld r7, 40(r14)
    0xe90e_0030, // ld r8, 48(r14)
    0x4400_0002, // sc
    0x4083_0008, // bns over the next
    0x7c63_00d0, // neg r3, r3
    0xf86e_0038, // std r3, 56(r14)
    0x39ce_0040, // addi r14, r14, 64
    0x39ef_ffff, // addi r15, r15, -1
    0x4bff_ffc4, // b the start
    // park:
    0x7e03_8378, // mr r3, r16
    0x3880_0000, // li r4, 0
    0x7e45_9378, // mr r5, r18
    0x38c0_0008, // li r6, 8
    0x3800_00b0, // li r0, 176 (rt_sigtimedwait)
    0x4400_0002, // sc
    0x7e29_03a6, // mtctr r17
    0x4e80_0420, // bctr
    // first: one call with its arguments in registers; an area that it made is marked; then park
    0x4400_0002, // sc
    0x4083_0008, // bns over the next
    0x7c63_00d0, // neg r3, r3
    0x7c74_1b78, // mr r20, r3
    0x2c23_0000, // cmpdi r3, 0
    0x4081_ffcc, // ble park
    0xfa63_0000, // std r19, 0(r3)
    0x4bff_ffc4, // b park
];

/// The stub.
pub const DUMP: [u8; 128] = little_endian(&CODE);

/// Where in [`DUMP`] a thread starts that makes a single call, given in its registers.
const FIRST: u64 = 24 * 4;

/// Where in [`DUMP`] a thread stands whose waiting was ended: with the next instruction it goes home.
pub const PARKED: u64 = 22 * 4;

/// Where in the stub its system call instruction stands.
pub const SYSCALL: usize = 9 * 4;

/// A breakpoint, `trap`.
const BREAKPOINT: u32 = 0x7fe0_0008;

/// Walks a batch in a task that is being restored and stops with a breakpoint: there the engine owns every signal
/// disposition. r14 and r15 as for [`DUMP`].
pub const RESTORE: [u8; 68] = ending(&DUMP, &BREAKPOINT.to_le_bytes());

/// The size of the breakpoint at the end of [`RESTORE`].
pub const BREAKPOINT_LEN: usize = 4;

impl Regs {
    /// These registers, set to run `count` entries of the batch at `entries` by the stub at `stub`.
    pub fn at_batch(&self, stub: u64, entries: u64, count: u64, park: Option<Park>) -> Regs {
        let mut regs = *self;
        regs.set_syscall(None);
        regs.nip = stub;
        regs.gpr[14] = entries;
        regs.gpr[15] = count;
        if let Some(park) = park {
            regs.gpr[16] = park.empty_set;
            regs.gpr[17] = park.home;
            regs.gpr[18] = park.timeout;
        }
        regs
    }

    /// These registers, set to make one call, write `mark` where the call returned an address, and park.
    pub fn at_first_call(&self, stub: u64, nr: i64, args: [u64; 6], mark: u64, park: Park) -> Regs {
        let mut regs = self.at_batch(stub + FIRST, 0, 0, Some(park));
        regs.gpr[19] = mark;
        regs.set_call(nr, args);
        regs
    }

    /// These registers, set to make one call by the system call instruction at `at`.
    pub fn at_call(&self, at: u64, nr: i64, args: [u64; 6]) -> Regs {
        let mut regs = *self;
        regs.set_syscall(None);
        regs.nip = at;
        regs.set_call(nr, args);
        regs
    }

    /// What the call of [`Regs::at_first_call`] returned, once the thread is parked.
    pub fn first_result(&self) -> i64 {
        self.gpr[20] as i64
    }

    fn set_call(&mut self, nr: i64, args: [u64; 6]) {
        self.gpr[0] = nr as u64;
        self.gpr[3..9].copy_from_slice(&args);
    }
}

/// Where the way home has its data, as offsets in bytes; the code follows.
mod home {
    /// The general registers, behind the branch to the code.
    pub const GPR: usize = 8;
    pub const NIP: usize = GPR + 32 * 8;
    pub const CTR: usize = NIP + 8;
    pub const LINK: usize = CTR + 8;
    pub const XER: usize = LINK + 8;
    pub const CCR: usize = XER + 8;
    pub const MASK: usize = CCR + 8;
    pub const CODE: usize = MASK + 8;
}

/// The register sets that [`way_home`] needs besides the integer registers: it does not touch the others.
pub const HOME_SETS: &[u32] = &[];

/// The most bytes that [`way_home`] generates.
pub const HOME_MAX: usize = home::CODE + 54 * 4;

/// Code that runs at `at` and takes a thread home: sets the signal mask and loads every register. The stack pointer is
/// the program's all along, for the handlers of signals that were held back. `regs` are rewound: the thread makes an
/// interrupted call again.
///
/// The target address register leads to the next instruction, as no other can: its value is lost, which compilers do
/// not use. A frame for rt_sigreturn(2) would keep it, but is longer than what some kernels' vDSO has room for.
pub fn way_home(at: u64, regs: &Regs, mask: u64, _state: &State) -> Code {
    const BASE: u32 = 31;
    let load = |register: u32, offset: usize| 0xe800_0000 | register << 21 | BASE << 16 | offset as u32; // ld
    let mut out = Code::new();
    let mut put = |words: &[u32]| words.iter().for_each(|word| out.put(&word.to_le_bytes()));
    put(&[0x4800_0000 | home::CODE as u32, 0]); // b the code
    let data = [regs.nip, regs.ctr, regs.link, regs.xer, regs.ccr, mask];
    for word in regs.gpr.into_iter().chain(data) {
        put(&[word as u32, (word >> 32) as u32]);
    }
    let half = |n: u32| (at >> (16 * n)) as u32 & 0xffff;
    put(&[
        0x3fe0_0000 | half(3),           // lis r31, the start
        0x63ff_0000 | half(2),           // ori r31, r31
        0x7bff_07c6,                     // sldi r31, r31, 32
        0x67ff_0000 | half(1),           // oris r31, r31
        0x63ff_0000 | half(0),           // ori r31, r31
        0x3860_0002,                     // li r3, 2 (SIG_SETMASK)
        0x389f_0000 | home::MASK as u32, // addi r4, r31, the mask
        0x38a0_0000,                     // li r5, 0
        0x38c0_0008,                     // li r6, 8
        0x3800_00ae,                     // li r0, 174 (rt_sigprocmask)
        0x4400_0002,                     // sc
    ]);
    put(&[load(0, home::NIP), 0x7c0f_cba6]); // mttar r0
    put(&[load(0, home::CTR), 0x7c09_03a6]); // mtctr r0
    put(&[load(0, home::LINK), 0x7c08_03a6]); // mtlr r0
    put(&[load(0, home::XER), 0x7c01_03a6]); // mtxer r0
    put(&[load(0, home::CCR), 0x7c0f_f120]); // mtcr r0
    for register in 0..=BASE {
        put(&[load(register, home::GPR + 8 * register as usize)]);
    }
    put(&[0x4e80_0460]); // btar
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the way home's loads of immediates up to the first other instruction: the value of r31.
    fn load(code: &[u8]) -> u64 {
        let mut value = 0u64;
        for word in code.chunks_exact(4).map(|w| u32::from_le_bytes(w.try_into().expect("four bytes"))) {
            let immediate = u64::from(word & 0xffff);
            match word & 0xffff_0000 {
                0x3fe0_0000 => value = (immediate << 16) as i32 as i64 as u64,
                0x63ff_0000 => value |= immediate,
                0x67ff_0000 => value |= immediate << 16,
                _ if word == 0x7bff_07c6 => value <<= 32,
                _ => break,
            }
        }
        value
    }

    #[test]
    fn the_way_home_finds_its_data() {
        for at in [0x10_0000, 0x7fff_9a8b_cdf0, 0x8000_8000_8000] {
            let regs = Regs { nip: 9, gpr: core::array::from_fn(|n| n as u64), ..Regs::default() };
            let code = way_home(at, &regs, 5, &State::default());
            let bytes = code.as_bytes();
            assert_eq!(bytes.len(), HOME_MAX);
            assert_eq!(load(&bytes[home::CODE..]), at);
            assert_eq!((bytes[home::MASK], bytes[home::NIP], bytes[home::GPR + 31 * 8]), (5, 9, 31));
        }
    }

    #[test]
    fn the_base_of_the_loads_is_loaded_last() {
        let code = way_home(0, &Regs::default(), 0, &State::default());
        let last = &code.as_bytes()[HOME_MAX - 8..];
        assert_eq!(last[..4], 0xebff_0100u32.to_le_bytes());
        assert_eq!(last[4..], 0x4e80_0460u32.to_le_bytes());
    }

    #[test]
    fn the_branches_of_the_stub_meet() {
        assert_eq!(4 + (CODE[1] as usize & 0xfffc), 16 * 4);
        assert_eq!(15 * 4 - (0x400_0000 - (CODE[15] & 0x3ff_fffc)), 0);
        assert_eq!(29 * 4 - (0x1_0000 - (CODE[29] & 0xfffc)), 16 * 4);
        assert_eq!(31 * 4 - (0x400_0000 - (CODE[31] & 0x3ff_fffc)), 16 * 4);
        assert_eq!(DUMP[SYSCALL..SYSCALL + 4], super::super::SYSCALL);
        assert_eq!(DUMP[FIRST as usize..][..4], super::super::SYSCALL);
    }
}
