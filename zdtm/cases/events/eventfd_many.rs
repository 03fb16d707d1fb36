//! Twenty eventfds of different values and numbers keep them apart, also where some are close-on-exec.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::fcntl;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

pub fn run(gate: &mut Gate) -> Verdict {
    let mut all: Vec<(OwnedFd, u64, i32)> = Vec::new();
    for n in 0..20u32 {
        let made = EventFd::from_value_and_flags(n * n + 1, EfdFlags::EFD_NONBLOCK)?;
        let command = if n % 3 == 0 { libc::F_DUPFD_CLOEXEC } else { libc::F_DUPFD };
        let number = fcntl(&made.as_fd(), command, 300 - 7 * n as i32)?;
        // SAFETY: just made, owned by nothing else.
        all.push((unsafe { OwnedFd::from_raw_fd(number) }, u64::from(n * n + 1), i32::from(n % 3 == 0)));
    }
    gate.checkpoint()?;
    for (n, (fd, value, close)) in all.iter().enumerate() {
        let data = crate::tools_files::read_once(fd, 8)?;
        check_eq(&format!("counter {n}"), data, value.to_ne_bytes().to_vec())?;
        check_eq(&format!("close-on-exec of {n}"), fcntl(fd, libc::F_GETFD, 0)?, *close)?;
    }
    Ok(())
}
