//! A descriptor of seccomp notices is refused by name; the process goes on under its filter.
//@ dump-fails: seccomp notify
//@ needs: [kernel:seccomp]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::owned;
use nix::errno::Errno;

const SECCOMP_SET_MODE_FILTER: i32 = 1;
const SECCOMP_FILTER_FLAG_NEW_LISTENER: i32 = 8;
const SECCOMP_RET_ALLOW: u32 = 0x7fff_0000;

pub fn run(gate: &mut Gate) -> Verdict {
    // BPF_RET | BPF_K: allow everything.
    let filter = libc::sock_filter { code: 6, jt: 0, jf: 0, k: SECCOMP_RET_ALLOW };
    let program = libc::sock_fprog { len: 1, filter: &raw const filter as *mut _ };
    // SAFETY: the program outlives the call; no_new_privs takes integers.
    let listener = owned(unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        let flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
        libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    })?;
    gate.checkpoint()?;
    check_eq("seccomp mode", crate::tools::status_field("self", "Seccomp")?, "2".to_owned())?;
    // SAFETY: integers only.
    let flags = Errno::result(unsafe { libc::fcntl(std::os::fd::AsRawFd::as_raw_fd(&listener), libc::F_GETFD) })?;
    check_eq("close-on-exec of the listener", flags, libc::FD_CLOEXEC)?;
    wait_ok(gate.fork(|_| Ok(()))?)
}
