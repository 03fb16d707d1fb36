//! Work under seccomp, where any call that is not allowed is death.

use crate::Page;
use crate::compute::checksum;

/// Only read, write, exit and sigreturn are allowed.
pub fn strict(page: &Page) {
    let right = checksum(8, 20_000);
    page.ready(1);
    // SAFETY: integers.
    unsafe { libc::prctl(libc::PR_SET_SECCOMP, 1, 0, 0, 0) };
    page.work(0, || if checksum(std::hint::black_box(8), 20_000) == right { Ok(()) } else { Err(60) });
    // SAFETY: ends the only thread; exit_group would not be allowed.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
}

/// Only the calls that the target makes are allowed.
pub fn filtered(page: &Page) {
    const LOAD: u16 = 0x20;
    const EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const KILL: u32 = 0x8000_0000;
    const ALLOW: u32 = 0x7fff_0000;
    // A sleep that was stopped, by whomever, goes on by restart_syscall: without it SIGSTOP would be death as well.
    let allowed = [libc::SYS_nanosleep, libc::SYS_restart_syscall, libc::SYS_exit_group, libc::SYS_exit];
    let op = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut filter = vec![op(LOAD, 0, 0, 0)];
    for (i, nr) in allowed.iter().enumerate() {
        filter.push(op(EQUAL, (allowed.len() - i) as u8, 0, *nr as u32));
    }
    filter.extend([op(RETURN, 0, 0, KILL), op(RETURN, 0, 0, ALLOW)]);
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    let right = checksum(9, 20_000);
    page.ready(1);
    // SAFETY: the program and its filter live until the call returns.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::prctl(libc::PR_SET_SECCOMP, 2, &raw const program, 0, 0);
    }
    page.work(0, || {
        let time = libc::timespec { tv_sec: 0, tv_nsec: 2_000_000 };
        // SAFETY: the time lives.
        let slept = unsafe { libc::syscall(libc::SYS_nanosleep, &raw const time, 0) };
        match (slept, checksum(std::hint::black_box(9), 20_000) == right) {
            (0, true) => Ok(()),
            (0, false) => Err(61),
            _ => Err(62),
        }
    });
    // SAFETY: ends the process without what a library would do.
    unsafe { libc::_exit(0) }
}
