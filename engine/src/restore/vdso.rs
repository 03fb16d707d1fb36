//! The vDSO: on the same kernel the running one is moved to where the image had it.

use super::crew::Program;
use super::load::LiveImage;
use super::tree::Tree;
use crate::error::{Error, Result};
use crate::vma::status;

/// Adds the calls that move the parked vDSO and its data into place, or remove them where the image has none.
pub fn place(program: &mut Program, tree: &Tree, live: &LiveImage) -> Result<()> {
    let special = status::VDSO | status::VVAR;
    let mut wanted = live.mm.vmas.iter().filter(|v| v.status & special != 0);
    let Some(first) = wanted.next() else {
        for (at, len) in &tree.vdso {
            program.call(libc::SYS_munmap, &[*at, *len]);
        }
        return Ok(());
    };
    let end = wanted.next_back().unwrap_or(first).end;
    let total: u64 = tree.vdso.iter().map(|(_, len)| len).sum();
    if end - first.start != total {
        return Err(Error::state("the vDSO of the images is of another kernel"));
    }
    let mut to = first.start;
    for (at, len) in &tree.vdso {
        let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as u64;
        program.call(libc::SYS_mremap, &[*at, *len, *len, flags, to]);
        to += len;
    }
    Ok(())
}
