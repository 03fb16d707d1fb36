//! What cases of restartable sequences share: the C library's area, and a loop inside a sequence, for each CPU.

use crate::tools_tasks::Word;

unsafe extern "C" {
    /// Where the thread's area lies, from its thread pointer (glibc 2.35).
    static __rseq_offset: isize;
}

/// The kernel's `struct rseq_cs`: version and flags, start, length and abort address; the loop fills it.
#[repr(C, align(32))]
struct Section([u64; 4]);

/// The address of the calling thread's `struct rseq`.
pub fn area() -> usize {
    let base: usize;
    // SAFETY: it reads the register that holds the thread pointer, on x86 its copy in memory.
    #[cfg(cpu = "x86")]
    unsafe {
        core::arch::asm!("mov {}, fs:[0]", out(reg) base)
    };
    // SAFETY: as above.
    #[cfg(cpu = "aarch64")]
    unsafe {
        core::arch::asm!("mrs {}, tpidr_el0", out(reg) base)
    };
    // SAFETY: as above.
    #[cfg(cpu = "ppc64")]
    unsafe {
        core::arch::asm!("mr {}, 13", out(reg) base)
    };
    // SAFETY: as above; it lies in two access registers.
    #[cfg(cpu = "s390x")]
    unsafe {
        core::arch::asm!("ear {0}, %a0; sllg {0}, {0}, 32; ear {0}, %a1", out(reg) base)
    };
    // SAFETY: the C library's constant.
    base.wrapping_add_signed(unsafe { __rseq_offset })
}

/// Spins inside a restartable sequence until the first word says stop. Counts the entries into the sequence in the second
/// word, the steps inside it in the third.
pub fn spin_in_section(words: &[Word; 3]) {
    let mut section = Section([0; 4]);
    // The area's third word pair points to the current sequence (linux/rseq.h).
    let place = area() + 8;
    // SAFETY: the words and the sequence outlive the loop.
    unsafe { spin(place, &raw mut section, words.as_ptr()) }
}

/// The loop: `place` is where the thread's area names its sequence.
///
/// # Safety
/// The place is the calling thread's own; the sequence and three words are valid until the first word says stop.
#[cfg(cpu = "x86")]
unsafe fn spin(place: usize, section: *mut Section, words: *const Word) {
    // SAFETY: by the caller; the four bytes before the abort address are the C library's signature.
    unsafe {
        core::arch::asm!(
            "lea {t}, [rip + 3f]; mov [{section} + 8], {t}",
            "lea {t}, [rip + 4f]; sub {t}, [{section} + 8]; mov [{section} + 16], {t}",
            "lea {t}, [rip + 5f]; mov [{section} + 24], {t}",
            "2: lock inc dword ptr [{words} + 4]",
            "mov [{place}], {section}",
            "3: inc dword ptr [{words} + 8]; pause; cmp dword ptr [{words}], 0; je 3b",
            "4: jmp 6f",
            ".byte 0x0f, 0xb9, 0x3d; .long 0x53053053",
            "5: jmp 2b",
            "6: mov qword ptr [{place}], 0",
            t = out(reg) _,
            place = in(reg) place,
            section = in(reg) section,
            words = in(reg) words,
        )
    };
}

/// As above.
///
/// # Safety
/// As above.
#[cfg(cpu = "aarch64")]
unsafe fn spin(place: usize, section: *mut Section, words: *const Word) {
    // SAFETY: by the caller; the four bytes before the abort address are the C library's signature.
    unsafe {
        core::arch::asm!(
            "adr {t}, 3f; str {t}, [{section}, #8]",
            "adr {n}, 4f; sub {n}, {n}, {t}; str {n}, [{section}, #16]",
            "adr {t}, 5f; str {t}, [{section}, #24]",
            "2: ldr {n:w}, [{words}, #4]; add {n:w}, {n:w}, #1; str {n:w}, [{words}, #4]",
            "str {section}, [{place}]",
            "3: ldr {n:w}, [{words}, #8]; add {n:w}, {n:w}, #1; str {n:w}, [{words}, #8]",
            "yield; ldr {n:w}, [{words}]; cbz {n:w}, 3b",
            "4: b 6f",
            ".inst 0xd428bc00",
            "5: b 2b",
            "6: str xzr, [{place}]",
            t = out(reg) _,
            n = out(reg) _,
            place = in(reg) place,
            section = in(reg) section,
            words = in(reg) words,
        )
    };
}

/// As above.
///
/// # Safety
/// As above.
#[cfg(cpu = "ppc64")]
unsafe fn spin(place: usize, section: *mut Section, words: *const Word) {
    // SAFETY: by the caller; the four bytes before the abort address are the C library's signature.
    unsafe {
        core::arch::asm!(
            "bcl 20, 31, 8f",
            "8: mflr {t}; addi {n}, {t}, 3f - 8b; std {n}, 8({section})",
            "li {n}, 4f - 3f; std {n}, 16({section})",
            "addi {n}, {t}, 5f - 8b; std {n}, 24({section})",
            "2: lwz {n}, 4({words}); addi {n}, {n}, 1; stw {n}, 4({words})",
            "std {section}, 0({place})",
            "3: lwz {n}, 8({words}); addi {n}, {n}, 1; stw {n}, 8({words})",
            "lwz {n}, 0({words}); cmpwi {n}, 0; beq 3b",
            "4: b 6f",
            ".long 0x0fe5000b",
            "5: b 2b",
            "6: li {n}, 0; std {n}, 0({place})",
            t = out(reg_nonzero) _,
            n = out(reg_nonzero) _,
            place = in(reg_nonzero) place,
            section = in(reg_nonzero) section,
            words = in(reg_nonzero) words,
            out("lr") _,
            out("cr0") _,
        )
    };
}

/// As above.
///
/// # Safety
/// As above.
#[cfg(cpu = "s390x")]
unsafe fn spin(place: usize, section: *mut Section, words: *const Word) {
    // SAFETY: by the caller; the four bytes before the abort address are the C library's signature.
    unsafe {
        core::arch::asm!(
            "larl {t}, 3f; stg {t}, 8({section})",
            "larl {n}, 4f; sgr {n}, {t}; stg {n}, 16({section})",
            "larl {t}, 5f; stg {t}, 24({section})",
            "2: asi 4({words}), 1",
            "stg {section}, 0({place})",
            "3: asi 8({words}), 1; lt {n}, 0({words}); jz 3b",
            "4: j 6f",
            ".long 0xb2ff0fff",
            "5: j 2b",
            "6: mvghi 0({place}), 0",
            t = out(reg) _,
            n = out(reg) _,
            place = in(reg_addr) place,
            section = in(reg_addr) section,
            words = in(reg_addr) words,
        )
    };
}
