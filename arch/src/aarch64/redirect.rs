//! What is written over the functions of a vDSO whose kernel is gone: a jump to the running kernel's, or a system call.

use crate::code::Code;

/// The most bytes that a generator here makes.
pub const MAX: usize = 32;

/// The vDSO's functions that read the kernel's data, and the system calls that do the same.
pub const FUNCTIONS: [(&str, u32); 4] =
    [("__kernel_clock_gettime", 113), ("__kernel_gettimeofday", 169), ("__kernel_clock_getres", 114), (GETRANDOM, 278)];

/// The function that a C library also asks for the shape of its state.
const GETRANDOM: &str = "__kernel_getrandom";

/// Code that at `at` jumps to `to`; of the registers it changes x16 at most, which belongs to the linker there.
pub fn redirect(at: u64, to: u64) -> Code {
    let mut code = Code::new();
    let distance = to.wrapping_sub(at) as i64;
    if (-(1 << 27)..1 << 27).contains(&distance) {
        put(&mut code, &[0x1400_0000 | (distance >> 2) as u32 & 0x03ff_ffff]); // b to
    } else {
        put(&mut code, &[0x5800_0050, 0xd61f_0200]); // ldr x16, the data; br x16
        code.put(&to.to_le_bytes());
    }
    code
}

/// Code that makes the system call of a function of the vDSO, whose arguments are in the same registers, and returns.
/// The question for the state's shape (the fifth argument is −1) is answered with ENOSYS.
pub fn system_call(function: &str, nr: u32) -> Code {
    let mut code = Code::new();
    if function == GETRANDOM {
        put(&mut code, &[0xb100_049f, 0x5400_0080]); // cmn x4, #1; b.eq the question
    }
    put(&mut code, &[0xd280_0008 | nr << 5, 0xd400_0001, 0xd65f_03c0]); // mov x8, nr; svc #0; ret
    if function == GETRANDOM {
        put(&mut code, &[0x9280_04a0, 0xd65f_03c0]); // mov x0, -ENOSYS; ret
    }
    code
}

fn put(code: &mut Code, words: &[u32]) {
    words.iter().for_each(|word| code.put(&word.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(code: &Code) -> alloc::vec::Vec<u32> {
        code.as_bytes().chunks_exact(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect()
    }

    #[test]
    fn a_near_target_takes_a_relative_branch() {
        assert_eq!(words(&redirect(0x1000, 0x1008)), [0x1400_0002]);
        assert_eq!(words(&redirect(0x1008, 0x1000)), [0x17ff_fffe]);
    }

    #[test]
    fn a_far_target_stands_behind_the_jump() {
        let code = redirect(0x1000, 0xffff_8000_1000);
        assert_eq!(code.len(), 16);
        assert_eq!(code.as_bytes()[8..], 0xffff_8000_1000u64.to_le_bytes());
    }

    #[test]
    fn getrandom_jumps_over_its_call() {
        let code = words(&system_call(GETRANDOM, 278));
        // b.eq goes four instructions ahead, to the second way out.
        assert_eq!((code[1], code[5]), (0x5400_0080, 0x9280_04a0));
        assert!(code.len() * 4 <= MAX);
    }
}
