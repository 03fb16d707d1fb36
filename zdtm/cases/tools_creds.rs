//! What cases of credentials and limits share: children that each have a state of their own, and seccomp filters.

use crate::gate::{Gate, Verdict, check, check_eq, fail};
use crate::tools::wait_ok;
use crate::tools_tasks::{Outcome, Word, await_that, child, must, outcome};
use std::ffi::c_long;
use std::fmt::Debug;

/// What a child does to itself to get a state of its own.
pub type Setup = Box<dyn FnOnce() -> Verdict>;

/// Has each child set itself up, and check after the gate that `observe` shows what it showed before. The set-up must
/// change what it shows, else the case would prove nothing.
pub fn each_child<T: PartialEq + Debug>(gate: &mut Gate, setups: Vec<Setup>, observe: fn() -> Verdict<T>) -> Verdict {
    let arrived = Word::shared()?;
    let before = observe()?;
    let mut children = Vec::new();
    for setup in setups {
        children.push(child(gate, |gate| {
            let life = || {
                let plain = observe()?;
                setup()?;
                let before = observe()?;
                check(&format!("a state of its own in {before:?}"), before != plain)?;
                arrived.bump();
                gate.wait();
                check_eq("what the child observes", observe()?, before)
            };
            // Where the child may no longer write the verdict, its output tells why it failed.
            life().inspect_err(|failure| eprintln!("child: {failure}"))
        })?);
    }
    await_that("the children", || Ok(arrived.get() as usize == children.len()))?;
    gate.checkpoint()?;
    children.into_iter().try_for_each(wait_ok)?;
    check_eq("what the parent observes", observe()?, before)
}

/// One system call that takes numbers only.
pub fn call(nr: c_long, arguments: [i64; 3]) -> Outcome {
    let [a, b, c] = arguments;
    // SAFETY: callers pass calls whose arguments are numbers.
    outcome(unsafe { libc::syscall(nr, a, b, c) })
}

/// `call` that must succeed.
pub fn must_call(nr: c_long, arguments: [i64; 3]) -> Verdict<i64> {
    must(&format!("system call {nr} with {arguments:?}"), call(nr, arguments))
}

/// Sets the supplementary groups of this thread.
pub fn set_groups(groups: &[u32]) -> Verdict {
    // SAFETY: the list is valid for its length.
    let done = unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) };
    must("setgroups", outcome(done)).map(drop)
}

/// Sets this thread's effective, permitted and inheritable capabilities.
pub fn set_capabilities([effective, permitted, inheritable]: [u64; 3]) -> Verdict {
    // Version 3 of the interface; pid 0 is this thread.
    let header = [0x2008_0522_u32, 0];
    let half = |shift: u64| [effective, permitted, inheritable].map(|set| (set >> shift) as u32);
    let data = [half(0), half(32)];
    // SAFETY: the header and two structures of three words, as version 3 wants them.
    must("capset", outcome(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) })).map(drop)
}

/// This thread's permitted capabilities.
pub fn permitted() -> Verdict<u64> {
    let text = crate::tools::status_field("thread-self", "CapPrm")?;
    u64::from_str_radix(&text, 16).or_else(|_| fail(format!("CapPrm is {text}")))
}

/// A seccomp filter: what becomes of some system calls, and of all others.
#[derive(Clone)]
pub struct Filter {
    /// System call, lowest word of its first argument where that matters, action.
    pub rules: Vec<(c_long, Option<u32>, u32)>,
    /// The action for all other calls.
    pub others: u32,
}

impl Filter {
    /// Lets everything pass but the calls in `rules`.
    pub fn deny(rules: &[(c_long, Option<u32>, u32)]) -> Filter {
        Filter { rules: rules.to_vec(), others: libc::SECCOMP_RET_ALLOW }
    }

    /// Installs the filter for this thread, with the flags of seccomp(2).
    pub fn install(&self, flags: u64) -> Outcome {
        let op = |code: u32, jump_true: u8, jump_false: u8, k: u32| libc::sock_filter {
            code: code as u16,
            jt: jump_true,
            jf: jump_false,
            k,
        };
        let (load, equal, give) = (libc::BPF_LD | libc::BPF_ABS, libc::BPF_JMP | libc::BPF_JEQ, libc::BPF_RET);
        let mut program = Vec::new();
        for (nr, argument, action) in &self.rules {
            // The call's number is at 0 of `seccomp_data`, the low word of the first argument at 16 on little endian.
            let argument_at = if cfg!(target_endian = "little") { 16 } else { 20 };
            program.push(op(load, 0, 0, 0));
            if let Some(argument) = argument {
                program.push(op(equal, 0, 3, *nr as u32));
                program.push(op(load, 0, 0, argument_at));
                program.push(op(equal, 0, 1, *argument));
            } else {
                program.push(op(equal, 0, 1, *nr as u32));
            }
            program.push(op(give, 0, 0, *action));
        }
        program.push(op(give, 0, 0, self.others));
        let described = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        let mode = libc::SECCOMP_SET_MODE_FILTER;
        // SAFETY: the program is valid during the call; the kernel copies it.
        outcome(unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const described) })
    }
}

/// The action that makes a call fail with `errno`.
pub fn errno(errno: u32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno
}
