//! A set of Landlock rules under construction is refused by name; it can be used.
//@ dump-fails: "[landlock-ruleset]"
//@ needs: [kernel:5.13]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::owned;
use nix::errno::Errno;
use std::os::fd::AsRawFd;

const ACCESS_FS_READ_FILE: u64 = 4;

pub fn run(gate: &mut Gate) -> Verdict {
    std::fs::write(gate.path("file"), b"")?;
    let handled = ACCESS_FS_READ_FILE;
    // SAFETY: the attribute, its first field only, outlives the call.
    let rules = owned(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const handled, 8, 0) })?;
    gate.checkpoint()?;
    let path = gate.path("file");
    let child = gate.fork(|_| {
        // SAFETY: integers only.
        unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            Errno::result(libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0))?;
        }
        let denied = std::fs::read(&path).err().and_then(|e| e.raw_os_error());
        check_eq("reading under the rules", denied, Some(libc::EACCES))
    })?;
    wait_ok(child)
}
