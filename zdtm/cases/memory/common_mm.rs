//! Two processes with one memory between them (CLONE_VM without being threads): what one maps the other sees at once.
//@ dump-fails: "address space"
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_memory::Area;
use crate::tools_relatives::await_word;
use nix::errno::Errno;
use nix::unistd::Pid;
use std::sync::atomic::{AtomicUsize, Ordering};

const STACK_PAGES: usize = 16;

/// What both processes look at.
struct Common<'a> {
    gate: &'a Gate,
    begun: Area,
    found: AtomicUsize,
}

/// The child's whole life. It shares thread-local data with its parent, so it makes no call that could fail.
extern "C" fn child(argument: *mut libc::c_void) -> i32 {
    // SAFETY: the parent passes a Common that outlives the child.
    let common = unsafe { &*argument.cast::<Common>() };
    common.begun.atomic(0).store(1, Ordering::SeqCst);
    while !common.gate.passed() || common.found.load(Ordering::SeqCst) == 0 {
        // SAFETY: never fails.
        unsafe { libc::sched_yield() };
    }
    let area = Area::at_address(common.found.load(Ordering::SeqCst), 1);
    i32::from(area.word(0) != 0xabc).wrapping_add(2 * i32::from(common.begun.word(1) != 5))
}

pub fn run(gate: &mut Gate) -> Verdict {
    let begun = Area::private(2)?;
    let stack = Area::private(STACK_PAGES)?;
    let common = Common { gate, begun, found: AtomicUsize::new(0) };
    // SAFETY: the stack is the child's alone; `common` lives until the child has been waited for.
    let pid = unsafe {
        libc::clone(
            child,
            stack.at(STACK_PAGES) as *mut libc::c_void,
            libc::CLONE_VM | libc::SIGCHLD,
            (&raw const common).cast_mut().cast(),
        )
    };
    let pid = Pid::from_raw(Errno::result(pid)?);
    let result = await_word(begun.atomic(0), 1).and_then(|()| {
        common.gate.ready();
        common.gate.wait();
        begun.set(1, 5);
        let new = Area::private(1)?;
        new.set(0, 0xabc);
        common.found.store(new.at(0), Ordering::SeqCst);
        const KCMP_VM: usize = 1;
        let me = nix::unistd::getpid().as_raw();
        // SAFETY: kcmp takes integers only.
        let order = Errno::result(unsafe { libc::syscall(libc::SYS_kcmp, me, pid.as_raw(), KCMP_VM, 0, 0) });
        check_eq("the order of the two memories (kcmp)", order, Ok(0))
    });
    wait_ok(pid)?;
    result
}
