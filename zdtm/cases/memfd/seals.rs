//! Seals of memory files stay, each alone and all together, and forbid what they forbade.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_memfd::{FUTURE_WRITE, check_content, error_of, filled, memfd, seal, seals};
use libc::{F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE};
use nix::errno::Errno;
use std::os::unix::fs::FileExt;

pub fn run(gate: &mut Gate) -> Verdict {
    let all = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    let sets =
        [0, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, FUTURE_WRITE, F_SEAL_SHRINK | F_SEAL_GROW, all];
    let mut files = Vec::new();
    for set in sets {
        let file = filled(b"sealed", b"content")?;
        seal(&file, set)?;
        files.push(file);
    }
    let plain = memfd(b"plain", 0)?;
    gate.checkpoint()?;
    check_eq("the seals of a plain file", seals(&plain)?, F_SEAL_SEAL)?;
    for (file, set) in files.iter().zip(sets) {
        check_eq("the seals", seals(file)?, set)?;
        check_content("the content", file, b"content")?;
        let forbidden = |seal| (set & seal != 0).then_some(libc::EPERM);
        check_eq("writing", error_of(file.write_at(b"C", 0)), forbidden(F_SEAL_WRITE | FUTURE_WRITE))?;
        check_eq("shrinking", error_of(file.set_len(3)), forbidden(F_SEAL_SHRINK))?;
        check_eq("growing", error_of(file.set_len(100)), forbidden(F_SEAL_GROW))?;
        let more = if set & F_SEAL_SEAL != 0 { Err(Errno::EPERM) } else { Ok(()) };
        check_eq("sealing", seal(file, F_SEAL_GROW), more)?;
    }
    Ok(())
}
