//! A process that wants huge pages only where it says so (PR_THP_DISABLE_EXCEPT_ADVISED), and a child that wants none.
//@ needs: [kernel:6.18, kernel:thp]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use nix::errno::Errno;

const EXCEPT_ADVISED: i32 = 2;

fn disable(flags: i32) -> Result<(), Errno> {
    // SAFETY: numbers only.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, flags, 0, 0) }).map(drop)
}

fn disabled() -> i32 {
    // SAFETY: numbers only.
    unsafe { libc::prctl(libc::PR_GET_THP_DISABLE, 0, 0, 0, 0) }
}

pub fn run(gate: &mut Gate) -> Verdict {
    disable(EXCEPT_ADVISED)?;
    let (ready, made) = (crate::tools_relatives::shared_word()?, 1);
    let child = gate.fork(|gate| {
        disable(0)?;
        crate::tools_relatives::arrive(ready);
        gate.wait();
        check_eq("huge pages of the child", disabled(), 1)
    })?;
    crate::tools_relatives::await_word(ready, made)?;
    check_eq("huge pages", disabled(), 1 | EXCEPT_ADVISED)?;
    gate.checkpoint()?;
    check_eq("huge pages", disabled(), 1 | EXCEPT_ADVISED)?;
    wait_ok(child)
}
