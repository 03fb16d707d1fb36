//! What is written over the functions of a vDSO whose kernel is gone: a jump to the running kernel's, or a system call.

use crate::code::Code;

/// The most bytes that a generator here makes.
pub const MAX: usize = 28;

/// The vDSO's functions that read the kernel's data, and the system calls that do the same.
pub const FUNCTIONS: [(&str, u32); 6] = [
    ("__kernel_clock_gettime", 246),
    ("__kernel_gettimeofday", 78),
    ("__kernel_clock_getres", 247),
    ("__kernel_time", 13),
    ("__kernel_getcpu", 302),
    (GETRANDOM, 359),
];

/// The function that a C library also asks for the shape of its state.
const GETRANDOM: &str = "__kernel_getrandom";

/// Code that at `at` jumps to `to`; of the registers it changes r12 and ctr at most, which hold a function's address
/// where one is called.
pub fn redirect(at: u64, to: u64) -> Code {
    let mut code = Code::new();
    let distance = to.wrapping_sub(at) as i64;
    if (-(1 << 25)..1 << 25).contains(&distance) {
        put(&mut code, &[0x4800_0000 | distance as u32 & 0x03ff_fffc]); // b to
        return code;
    }
    let half = |n: u32| (to >> (16 * n)) as u32 & 0xffff;
    put(
        &mut code,
        &[
            0x3d80_0000 | half(3), // lis r12
            0x618c_0000 | half(2), // ori r12, r12
            0x798c_07c6,           // sldi r12, r12, 32
            0x658c_0000 | half(1), // oris r12, r12
            0x618c_0000 | half(0), // ori r12, r12
            0x7d89_03a6,           // mtctr r12
            0x4e80_0420,           // bctr
        ],
    );
    code
}

/// Code that makes the system call of a function of the vDSO, whose arguments are in the same registers, and returns:
/// both tell an error by the same bit. The question for the state's shape (the fifth argument is −1) is answered with
/// ENOSYS.
pub fn system_call(function: &str, nr: u32) -> Code {
    let mut code = Code::new();
    let call = [0x3800_0000 | nr, 0x4400_0002, 0x4e80_0020]; // li r0, nr; sc; blr
    if function == GETRANDOM {
        // Without the question's answer the C library would take what the call leaves for a shape: a number that is no
        // call makes the kernel answer it.
        put(&mut code, &[0x2c27_ffff, 0x4082_0008, 0x3800_7fff]); // cmpdi r7, -1; bne over; li r0, 32767
        put(&mut code, &[0x4182_0008, call[0], call[1], call[2]]); // beq over li
        return code;
    }
    put(&mut code, &call);
    code
}

fn put(code: &mut Code, words: &[u32]) {
    words.iter().for_each(|word| code.put(&word.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_and_far_targets() {
        assert_eq!(redirect(0x1000, 0x1008).as_bytes(), 0x4800_0008u32.to_le_bytes());
        assert_eq!(redirect(0x1008, 0x1000).as_bytes(), 0x4bff_fff8u32.to_le_bytes());
        let far = redirect(0x1000, 0x7fff_1234_5678);
        assert_eq!(far.len(), MAX);
        assert_eq!(far.as_bytes()[4..8], 0x618c_7fffu32.to_le_bytes());
        assert!(FUNCTIONS.iter().all(|(name, nr)| system_call(name, *nr).len() <= MAX));
    }
}
