//! What is written over the functions of a vDSO whose kernel is gone: a jump to the running kernel's, or a system call.

use crate::code::Code;

/// The most bytes that a generator here makes.
pub const MAX: usize = 24;

/// The vDSO's functions that read the kernel's data, and the system calls that do the same.
pub const FUNCTIONS: [(&str, u32); 6] = [
    ("__vdso_clock_gettime", 228),
    ("__vdso_gettimeofday", 96),
    ("__vdso_time", 201),
    ("__vdso_getcpu", 309),
    ("__vdso_clock_getres", 229),
    (GETRANDOM, 318),
];

/// The function that a C library also asks for the shape of its state.
const GETRANDOM: &str = "__vdso_getrandom";

/// Code that at `at` jumps to `to`; of the registers it changes rax at most, which holds no argument and is the
/// caller's to lose.
pub fn redirect(at: u64, to: u64) -> Code {
    let mut code = Code::new();
    let distance = to.wrapping_sub(at.wrapping_add(5)) as i64;
    match i32::try_from(distance) {
        Ok(near) => {
            code.put(&[0xe9]); // jmp to
            code.put(&near.to_le_bytes());
        }
        Err(_) => {
            code.put(&[0x48, 0xb8]); // mov rax, to
            code.put(&to.to_le_bytes());
            code.put(&[0xff, 0xe0]); // jmp rax
        }
    }
    code
}

/// Code that makes the system call of a function of the vDSO, whose arguments are in the same registers up to the
/// third, and returns. The question for the state's shape (the fifth argument is −1) is answered with ENOSYS.
pub fn system_call(function: &str, nr: u32) -> Code {
    let mut code = Code::new();
    if function == GETRANDOM {
        code.put(&[0x49, 0x83, 0xf8, 0xff]); // cmp r8, -1
        code.put(&[0x74, 0x08]); // je the question
    }
    code.put(&[0xb8]); // mov eax, nr
    code.put(&nr.to_le_bytes());
    code.put(&[0x0f, 0x05, 0xc3]); // syscall; ret
    if function == GETRANDOM {
        code.put(&[0x48, 0xc7, 0xc0, 0xda, 0xff, 0xff, 0xff, 0xc3]); // mov rax, -ENOSYS; ret
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_target_takes_a_relative_jump() {
        assert_eq!(redirect(0x1000, 0x1005).as_bytes(), [0xe9, 0, 0, 0, 0]);
        assert_eq!(redirect(0x2000, 0x1000).as_bytes(), [0xe9, 0xfb, 0xef, 0xff, 0xff]);
        // The farthest forward, counted from the end of the jump.
        assert_eq!(redirect(0, 0x8000_0004).as_bytes(), [0xe9, 0xff, 0xff, 0xff, 0x7f]);
    }

    #[test]
    fn a_far_target_takes_an_absolute_jump() {
        let code = redirect(0, 0x8000_0005);
        assert_eq!(code.as_bytes(), [0x48, 0xb8, 5, 0, 0, 0x80, 0, 0, 0, 0, 0xff, 0xe0]);
        assert_eq!(redirect(0x7fff_0000_0000, 0x10_0000).len(), 12);
        assert!(code.len() <= MAX);
    }

    #[test]
    fn a_missing_function_becomes_its_system_call() {
        let code = system_call("__vdso_time", 201);
        assert_eq!(code.as_bytes(), [0xb8, 201, 0, 0, 0, 0x0f, 0x05, 0xc3]);
    }

    #[test]
    fn getrandom_has_no_state_to_describe() {
        let code = system_call(GETRANDOM, 318);
        let bytes = code.as_bytes();
        // The jump goes over the call to the second way out.
        assert_eq!(bytes[5] as usize, 8);
        assert_eq!(&bytes[6 + 8..], [0x48, 0xc7, 0xc0, 0xda, 0xff, 0xff, 0xff, 0xc3]);
        assert!(bytes.len() <= MAX);
    }

    #[test]
    fn every_function_is_named_once() {
        for (i, (name, nr)) in FUNCTIONS.iter().enumerate() {
            assert!(FUNCTIONS[..i].iter().all(|(other, number)| other != name && number != nr));
        }
    }
}
