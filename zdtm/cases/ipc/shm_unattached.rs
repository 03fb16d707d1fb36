//! A segment that nobody has attached keeps its contents, also one with an odd size.
//@ flavours: [ns]
//@ needs: [kernel:sysvipc]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_ipc::{KEY, about_segment, attach, segment};
use crate::tools_memory::Area;
use nix::errno::Errno;

pub fn run(gate: &mut Gate) -> Verdict {
    let detach = |area: &Area| {
        // SAFETY: nothing refers to the attachment any more.
        Errno::result(unsafe { libc::shmdt(area.at(0) as *const libc::c_void) })
    };
    let id = segment(KEY, 3, 0o600)?;
    let area = attach(id, 3, 0)?;
    area.fill(7);
    detach(&area)?;
    // SAFETY: integers only.
    let odd = Errno::result(unsafe { libc::shmget(libc::IPC_PRIVATE, 100, 0o600) })?;
    let page = attach(odd, 1, 0)?;
    page.fill(8);
    detach(&page)?;
    let before = (about_segment(id)?, about_segment(odd)?);
    gate.checkpoint()?;
    check_eq("what is known of them", (about_segment(id)?, about_segment(odd)?), before)?;
    attach(id, 3, 0)?.check_fill("the segment", 7)?;
    attach(odd, 1, 0)?.check_fill("the page of the small one", 8)
}
