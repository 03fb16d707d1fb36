//! Two threads of one CPU add to one word, each in a restartable sequence: an addition is lost when a thread that was
//! interrupted inside the sequence goes on in the middle.

use crate::Page;
use std::sync::atomic::{AtomicU64, Ordering};

unsafe extern "C" {
    /// Where the thread's area lies, from its thread pointer (glibc 2.35).
    static __rseq_offset: isize;
}

/// The kernel's `struct rseq_cs`: version and flags, start, length, abort address; the sequence fills it in.
#[repr(C, align(32))]
struct Section([u64; 4]);

static SUM: AtomicU64 = AtomicU64::new(0);

/// Adds one to the sum: loads, dawdles, stores.
fn add(section: &mut Section) {
    // SAFETY: fs:0 is the thread pointer; 8 bytes into the area stands the pointer to the current sequence
    // (linux/rseq.h). The four bytes before the abort address are the C library's signature. The store that ends the
    // sequence is its last instruction.
    unsafe {
        core::arch::asm!(
            "mov {area}, fs:[0]; add {area}, {offset}; add {area}, 8",
            "lea {t}, [rip + 3f]; mov [{section} + 8], {t}",
            "lea {t}, [rip + 4f]; sub {t}, [{section} + 8]; mov [{section} + 16], {t}",
            "lea {t}, [rip + 5f]; mov [{section} + 24], {t}",
            "2: mov [{area}], {section}",
            "3: mov {t}, [{sum}]",
            "mov {n}, 200",
            "7: pause; dec {n}; jnz 7b",
            "inc {t}",
            "mov [{sum}], {t}",
            "4: jmp 6f",
            ".byte 0x0f, 0xb9, 0x3d; .long 0x53053053",
            "5: jmp 2b",
            "6: mov qword ptr [{area}], 0",
            area = out(reg) _,
            t = out(reg) _,
            n = out(reg) _,
            offset = in(reg) __rseq_offset,
            section = in(reg) &raw mut *section,
            sum = in(reg) SUM.as_ptr(),
        );
    }
}

/// Adds until told to stop; how often.
fn adder(page: &Page, worker: usize) -> u64 {
    let (mut section, mut added) = (Section([0; 4]), 0);
    while !page.stopping() {
        for _ in 0..50 {
            add(&mut section);
            added += 1;
        }
        page.count(worker, true, 0);
    }
    added
}

/// Both threads on the first CPU that is allowed; the sum must be right in the end.
pub fn run(page: &'static Page) {
    let pid = nix::unistd::Pid::from_raw(0);
    let pinned = nix::sched::sched_getaffinity(pid).and_then(|allowed| {
        let first = (0..nix::sched::CpuSet::count()).find(|&cpu| allowed.is_set(cpu).unwrap_or(false)).unwrap_or(0);
        let mut one = nix::sched::CpuSet::new();
        one.set(first)?;
        nix::sched::sched_setaffinity(pid, &one)
    });
    let other = std::thread::spawn(move || adder(page, 1));
    page.ready(2);
    let mine = adder(page, 0);
    let theirs = other.join().unwrap_or(0);
    page.count(0, pinned.is_ok() && mine + theirs == SUM.load(Ordering::SeqCst), 50);
}
