//! A memory file keeps owner, mode, times and extended attributes.
//@ needs: [cap:chown]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{attribute, set_attribute, stat};
use crate::tools_memfd::{filled, seal};
use std::fs::FileTimes;
use std::os::unix::fs::{PermissionsExt, fchown};
use std::time::{Duration, SystemTime};

pub fn run(gate: &mut Gate) -> Verdict {
    let file = filled(b"attributes", b"content")?;
    fchown(&file, Some(1234), Some(4321))?;
    file.set_permissions(PermissionsExt::from_mode(0o4751))?;
    // Not every kernel has them on its own tmpfs.
    let coloured = set_attribute(&file, "user.colour", b"blue\0").is_ok();
    let trusted = set_attribute(&file, "trusted.mark", b"").is_ok();
    let time = |seconds, nanos| SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
    file.set_times(FileTimes::new().set_accessed(time(1_000_000_000, 5)).set_modified(time(7, 999_999_999)))?;
    seal(&file, libc::F_SEAL_WRITE)?;
    gate.checkpoint()?;
    let now = stat(&file)?;
    check_eq("the mode", format!("{:o}", now.st_mode), format!("{:o}", libc::S_IFREG | 0o4751))?;
    check_eq("the owners", (now.st_uid, now.st_gid), (1234, 4321))?;
    check_eq("the time of access", (now.st_atime, now.st_atime_nsec), (1_000_000_000, 5))?;
    check_eq("the time of change", (now.st_mtime, now.st_mtime_nsec), (7, 999_999_999))?;
    if coloured {
        check_eq("user.colour", attribute(&file, "user.colour")?, b"blue\0".to_vec())?;
    }
    if trusted {
        check_eq("trusted.mark", attribute(&file, "trusted.mark")?, vec![])?;
    }
    Ok(())
}
