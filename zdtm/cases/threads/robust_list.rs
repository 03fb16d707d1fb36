//! Each thread keeps its robust list: the head that it registered, and the lock that it was about to take
//! (`list_op_pending`), which the kernel marks as left behind when the thread ends.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_tasks::{Word, gettid, must, outcome};
use crate::tools_threads::{join, spawn};

/// The kernel's `struct robust_list_head` (linux/futex.h).
#[repr(C)]
struct Head {
    list: usize,
    offset: i64,
    pending: usize,
}

fn registered(tid: i32) -> Verdict<(usize, usize)> {
    let (mut head, mut size) = (0usize, 0usize);
    // SAFETY: the kernel writes a pointer and a size.
    let done = unsafe { libc::syscall(libc::SYS_get_robust_list, tid, &raw mut head, &raw mut size) };
    must("get_robust_list", outcome(done))?;
    Ok((head, size))
}

pub fn run(gate: &mut Gate) -> Verdict {
    static STEP: Word = Word::new();
    static TID: Word = Word::new();
    /// The entry of the list (8 bytes) and, 16 bytes on, the lock word.
    static ENTRY: [Word; 6] = [const { Word::new() }; 6];
    let main = registered(0)?;
    check("the C library's list of the main thread", main.0 != 0)?;
    let thread = spawn(|| {
        let head: &mut Head = Box::leak(Box::new(Head { list: 0, offset: 16, pending: ENTRY[0].as_ptr() as usize }));
        head.list = &raw const head.list as usize;
        let at = std::ptr::from_ref(head) as usize;
        // SAFETY: the head and its entry are never freed.
        must("set_robust_list", outcome(unsafe { libc::syscall(libc::SYS_set_robust_list, at, size_of::<Head>()) }))?;
        ENTRY[4].set(gettid() as u32);
        TID.set(gettid() as u32);
        STEP.bump();
        STEP.wait_for(2);
        check_eq("the thread's list", registered(0)?, (at, size_of::<Head>()))?;
        check_eq("the thread's list by its id", registered(gettid())?, (at, size_of::<Head>()))
    })?;
    STEP.wait_for(1);
    gate.checkpoint()?;
    check_eq("the main thread's list", registered(0)?, main)?;
    check_eq("the lock word of the living owner", ENTRY[4].get(), TID.get())?;
    STEP.bump();
    join(thread)??;
    // 0x4000_0000 is FUTEX_OWNER_DIED.
    check_eq("the lock word of the dead owner", ENTRY[4].get(), 0x4000_0000)
}
