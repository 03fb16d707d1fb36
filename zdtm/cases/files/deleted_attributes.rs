//! A deleted file keeps mode, owner, times, extended attributes and its access control list.
//@ needs: [cap:chown]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{attribute, set_attribute, stat, write_once};
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, fchown};
use std::time::{Duration, SystemTime};

/// A POSIX ACL as the kernel stores it: version 2, then tag, permissions and id of each entry (user, user 1234,
/// group, mask, others).
const ACL: [(u16, u16, u32); 5] =
    [(1, 6, u32::MAX), (2, 4, 1234), (4, 4, u32::MAX), (16, 4, u32::MAX), (32, 0, u32::MAX)];

pub fn run(gate: &mut Gate) -> Verdict {
    let acl: Vec<u8> = 2u32
        .to_le_bytes()
        .into_iter()
        .chain(ACL.iter().flat_map(|(tag, perm, id)| {
            let mut entry = tag.to_le_bytes().to_vec();
            entry.extend(perm.to_le_bytes());
            entry.extend(id.to_le_bytes());
            entry
        }))
        .collect();
    let path = gate.path("ghost");
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    write_once(&file, b"data")?;
    file.set_permissions(PermissionsExt::from_mode(0o4751))?;
    fchown(&file, Some(1234), Some(4321))?;
    // chown clears the set-user-id bit.
    file.set_permissions(PermissionsExt::from_mode(0o4751))?;
    set_attribute(&file, "user.colour", b"blue\0green")?;
    set_attribute(&file, "user.empty", b"")?;
    set_attribute(&file, "trusted.secret", &[0xff; 100])?;
    set_attribute(&file, "system.posix_acl_access", &acl)?;
    let time = |seconds, nanos| SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
    file.set_times(
        fs::FileTimes::new().set_accessed(time(1_000_000_000, 123_456_789)).set_modified(time(999_999_999, 1)),
    )?;
    fs::remove_file(&path)?;
    let before = stat(&file)?;
    gate.checkpoint()?;
    let after = stat(&file)?;
    let mode = |s: &nix::sys::stat::FileStat| format!("{:o}", s.st_mode);
    check_eq("the mode", mode(&after), mode(&before))?;
    check_eq("the owners", (after.st_uid, after.st_gid), (1234, 4321))?;
    check_eq("the time of access", (after.st_atime, after.st_atime_nsec), (1_000_000_000, 123_456_789))?;
    check_eq("the time of change", (after.st_mtime, after.st_mtime_nsec), (999_999_999, 1))?;
    check_eq("user.colour", attribute(&file, "user.colour")?, b"blue\0green".to_vec())?;
    check_eq("user.empty", attribute(&file, "user.empty")?, vec![])?;
    check_eq("trusted.secret", attribute(&file, "trusted.secret")?, vec![0xff; 100])?;
    check_eq("the access control list", attribute(&file, "system.posix_acl_access")?, acl)
}
