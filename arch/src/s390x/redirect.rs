//! What is written over the functions of a vDSO whose kernel is gone: a jump to the running kernel's, or a system call.

use crate::code::Code;

/// The most bytes that a generator here makes.
pub const MAX: usize = 24;

/// The vDSO's functions that read the kernel's data, and the system calls that do the same.
pub const FUNCTIONS: [(&str, u32); 5] = [
    ("__kernel_clock_gettime", 260),
    ("__kernel_gettimeofday", 78),
    ("__kernel_clock_getres", 261),
    ("__kernel_getcpu", 311),
    (GETRANDOM, 349),
];

/// The function that a C library also asks for the shape of its state.
const GETRANDOM: &str = "__kernel_getrandom";

/// Code that at `at`, a multiple of 8, jumps to `to`; of the registers it changes r1 at most, which holds no argument.
pub fn redirect(at: u64, to: u64) -> Code {
    let mut code = Code::new();
    let distance = to.wrapping_sub(at) as i64 / 2;
    match i32::try_from(distance) {
        Ok(near) => {
            code.put(&[0xc0, 0xf4]); // jg to
            code.put(&near.to_be_bytes());
        }
        Err(_) => {
            code.put(&[0xc4, 0x18, 0x00, 0x00, 0x00, 0x04]); // lgrl %r1, the data 8 bytes ahead
            code.put(&[0x07, 0xf1]); // br %r1
            code.put(&to.to_be_bytes());
        }
    }
    code
}

/// Code that makes the system call of a function of the vDSO, whose arguments are in the same registers, and returns.
/// The question for the state's shape (the fifth argument is −1) is answered with ENOSYS.
pub fn system_call(function: &str, nr: u32) -> Code {
    let mut code = Code::new();
    if function == GETRANDOM {
        code.put(&[0xa7, 0x6f, 0xff, 0xff]); // cghi %r6, -1
        code.put(&[0xa7, 0x84, 0x00, 0x06]); // je the question
    }
    code.put(&[0xa7, 0x19]); // lghi %r1, nr
    code.put(&(nr as u16).to_be_bytes());
    code.put(&[0x0a, 0x00, 0x07, 0xfe]); // svc 0; br %r14
    if function == GETRANDOM {
        code.put(&[0xa7, 0x29, 0xff, 0xda, 0x07, 0xfe]); // lghi %r2, -ENOSYS; br %r14
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_and_far_targets() {
        assert_eq!(redirect(0x1000, 0x1008).as_bytes(), [0xc0, 0xf4, 0, 0, 0, 4]);
        assert_eq!(redirect(0x1008, 0x1000).as_bytes(), [0xc0, 0xf4, 0xff, 0xff, 0xff, 0xfc]);
        let far = redirect(0x1000, 0x3ff_0000_1000);
        assert_eq!(far.as_bytes()[8..], 0x3ff_0000_1000u64.to_be_bytes());
    }

    #[test]
    fn getrandom_jumps_over_its_call() {
        let code = system_call(GETRANDOM, 349);
        // je goes 12 bytes ahead of itself, to the second way out.
        assert_eq!(&code.as_bytes()[4 + 12..], [0xa7, 0x29, 0xff, 0xda, 0x07, 0xfe]);
        assert!(code.len() <= MAX);
    }
}
