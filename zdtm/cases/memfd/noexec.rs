//! A memory file that cannot be executed (MFD_NOEXEC_SEAL) stays so; one that can, and is sealed so, too.
//@ needs: [kernel:6.3]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_memfd::{EXEC, NOEXEC_SEAL, error_of, memfd, seal, seals};
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;

pub fn run(gate: &mut Gate) -> Verdict {
    const MFD_EXEC: u32 = 0x10;
    let (never, always) = (memfd(b"never", NOEXEC_SEAL)?, memfd(b"always", MFD_EXEC | libc::MFD_ALLOW_SEALING)?);
    always.set_permissions(Permissions::from_mode(0o710))?;
    seal(&always, EXEC)?;
    let one = |file: &File| -> Verdict<_> { Ok((file.metadata()?.permissions().mode(), seals(file)?)) };
    let look = || -> Verdict<_> { Ok([one(&never)?, one(&always)?]) };
    let before = look()?;
    check_eq("the mode of the one", before[0].0 & 0o111, 0)?;
    gate.checkpoint()?;
    check_eq("modes and seals", look()?, before)?;
    check_eq("allowing it", error_of(never.set_permissions(Permissions::from_mode(0o777))), Some(libc::EPERM))?;
    check_eq("forbidding it", error_of(always.set_permissions(Permissions::from_mode(0o600))), Some(libc::EPERM))?;
    never.set_permissions(Permissions::from_mode(0o640))?;
    Ok(())
}
