//! Who does the work of a command that must not leave half of it. A dump is done by a child; the process that the user
//! started only waits for it. Killing the parent makes the child give up and thaw the tree; killing the child lets the
//! tasks find home by themselves while the parent takes away what else is left. A signal that asks for an end (SIGINT,
//! SIGTERM, SIGHUP, SIGQUIT) cancels the work; the exit status is then 128 and the signal.

use std::path::Path;
use std::time::SystemTime;

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::CliError;
use crate::guardian;
use crate::image;
use crate::options::{CommonOptions, FdNumber};
use crate::sys::Errno;
use crate::sys::process::{self, Forked};
use crate::sys::undo::Log;

/// Does `work`, a dump into the directory of images, in a child. Returns the exit status of the command; in the child,
/// what `work` said.
pub fn dump(common: &CommonOptions, work: impl FnOnce() -> Result<(), CliError>) -> Result<u8, CliError> {
    let kernel = |what: &str, errno: Errno| CliError::of_text("dump", format!("failed to {what}: {}", errno.desc()));
    let log = guardian::share().map_err(|e| CliError::of("dump", &e))?;
    process::heed_signals().map_err(|e| kernel("catch signals", e))?;
    let since = now();
    match process::fork().map_err(|e| kernel("fork the process that dumps", e))? {
        Forked::Child => {
            let result = work().map(|()| 0);
            guardian::stand_down();
            result
        }
        Forked::Parent(child) => {
            // Whoever waits for the end of this descriptor waits for the child's.
            if let Some(fd) = common.status_fd.map(FdNumber::get).filter(|&fd| fd > 2) {
                let _ = nix::unistd::close(fd);
            }
            wait(child, &log, &common.images_dir, since)
        }
    }
}

/// Does `work`, a restore, here: the process that the user started becomes the parent of the tree.
pub fn restore<T>(work: impl FnOnce() -> Result<T, CliError>) -> Result<T, CliError> {
    let kernel = |errno: Errno| CliError::of_text("restore", format!("failed to catch signals: {}", errno.desc()));
    process::heed_signals().map_err(kernel)?;
    let result = work();
    guardian::stand_down();
    if result.is_ok() {
        // The tree runs; a signal from now on ends the waiting for it.
        process::unheed_signals().map_err(kernel)?;
    }
    result
}

/// The exit status of a command that failed: 128 and the signal that asked for its end, else 1.
pub fn failure_status() -> u8 {
    process::asked_by().map_or(1, |signal| 128u8.wrapping_add(signal as u8))
}

/// Waits for the child that does the work and passes its exit status on. Where it was killed, takes away what it left.
fn wait(child: Pid, log: &Log, images: &Path, since: SystemTime) -> Result<u8, CliError> {
    let status = loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, code)) => break Ok(code as u8),
            Ok(WaitStatus::Signaled(_, signal, _)) => break Err(signal),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(CliError::of_text("dump", format!("failed to wait for the dump: {}", e.desc()))),
        }
    };
    process::pass_no_more();
    log.undo_all();
    let signal = match status {
        Ok(code) => return Ok(code),
        Err(signal) => signal,
    };
    let swept = match image::out::sweep(images, since) {
        Ok(true) => "its incomplete images were removed".to_owned(),
        Ok(false) => "it left no incomplete images".to_owned(),
        Err(e) => format!("its incomplete images could not be removed: {e}"),
    };
    Err(CliError::of_text("dump", format!("the process that dumped was killed by {signal}; {swept}"))
        .with_help("the tree runs on, unless the dump was complete and the tree was being killed; see `stasis show`"))
}

/// The time as files are stamped with it: that of the last tick.
fn now() -> SystemTime {
    let coarse = nix::time::clock_gettime(nix::time::ClockId::CLOCK_REALTIME_COARSE);
    coarse.map_or_else(|_| SystemTime::now(), |t| SystemTime::UNIX_EPOCH + std::time::Duration::from(t))
}
