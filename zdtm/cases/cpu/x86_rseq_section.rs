//! A thread caught inside a restartable sequence starts it over: a thread that was stopped and went on in the middle
//! would finish a sequence that was interrupted.
use crate::gate::{Gate, Verdict, check};
use crate::tools_tasks::{Word, await_that, gettid, stat_fields};
use crate::tools_threads::{join, spawn};

unsafe extern "C" {
    /// Where the thread's area lies, from its thread pointer (glibc 2.35).
    static __rseq_offset: isize;
}

/// The words of the loop: stop, entries into the sequence, steps inside it.
static WORDS: [Word; 3] = [const { Word::new() }; 3];
static TID: Word = Word::new();

/// The kernel's `struct rseq_cs`: version and flags, start, length and abort address; the loop fills it.
#[repr(C, align(32))]
struct Section([u64; 4]);

/// Spins inside a restartable sequence until the word says stop.
fn spin_in_section() {
    let mut section = Section([0; 4]);
    // SAFETY: fs:0 is the thread pointer; the area's third word pair points to the current sequence (linux/rseq.h). The
    // four bytes before the abort address are the C library's signature.
    unsafe {
        core::arch::asm!(
            "mov {area}, fs:[0]; add {area}, {offset}; add {area}, 8",
            "lea {t}, [rip + 3f]; mov [{section} + 8], {t}",
            "lea {t}, [rip + 4f]; sub {t}, [{section} + 8]; mov [{section} + 16], {t}",
            "lea {t}, [rip + 5f]; mov [{section} + 24], {t}",
            "2: lock inc dword ptr [{words} + 4]",
            "mov [{area}], {section}",
            "3: inc dword ptr [{words} + 8]; pause; cmp dword ptr [{words}], 0; je 3b",
            "4: jmp 6f",
            ".byte 0x0f, 0xb9, 0x3d; .long 0x53053053",
            "5: jmp 2b",
            "6: mov qword ptr [{area}], 0",
            area = out(reg) _,
            t = out(reg) _,
            offset = in(reg) __rseq_offset,
            section = in(reg) &raw mut section,
            words = in(reg) WORDS.as_ptr(),
        );
    }
}

/// When the thread began, and how often it was switched away from: one of them changes where it was stopped.
fn past() -> Verdict<(String, u64)> {
    let path = format!("/proc/self/task/{}", TID.get());
    let mut switches = 0;
    for line in std::fs::read_to_string(format!("{path}/status"))?.lines().filter(|l| l.contains("ctxt_switches")) {
        switches += line.rsplit('\t').next().unwrap_or("").parse::<u64>()?;
    }
    Ok((stat_fields(&format!("{path}/stat"))?[19].clone(), switches))
}

/// Waits until the loop has gone round, and so returned from whatever interrupted it; returns its entries so far.
fn entries() -> Verdict<u32> {
    let steps = WORDS[2].get();
    await_that("a step inside the sequence", || Ok(WORDS[2].get().wrapping_sub(steps) > 1000))?;
    Ok(WORDS[1].get())
}

pub fn run(gate: &mut Gate) -> Verdict {
    let thread = spawn(|| {
        TID.set(gettid() as u32);
        spin_in_section();
    })?;
    await_that("the sequence", || Ok(TID.get() != 0 && WORDS[1].get() != 0))?;
    let before = entries()?;
    // Read after the entries: a switch seen below came when that entry or a later one was under way.
    let was = past()?;
    gate.checkpoint()?;
    let is = past()?;
    let after = entries()?;
    WORDS[0].set(1);
    join(thread)?;
    check("the sequence was started over when it was interrupted", was == is || after > before)
}
