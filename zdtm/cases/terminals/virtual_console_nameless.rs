//! A session's virtual console that is open as /dev/tty alone is refused: nothing tells by which name it can be opened.
//@ needs: [kernel:vt]
//@ dump-fails: it is a device that no process of the tree has open by its own name
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_relatives::{arrive, await_word, shared_word};
use crate::tools_terminals::{get, session_on, virtual_console};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

pub fn run(gate: &mut Gate) -> Verdict {
    let path = virtual_console(gate)?;
    let ready = shared_word()?;
    let (leader, _) = session_on(gate, &path, |gate, terminal| {
        let own = open("/dev/tty", OFlag::O_RDWR | OFlag::O_NONBLOCK, Mode::empty())?;
        drop(terminal);
        arrive(ready);
        gate.wait();
        check_eq("the session", get(&own, libc::TIOCGSID)?, Pid::this().as_raw())
    })?;
    await_word(ready, 1)?;
    gate.checkpoint()?;
    wait_ok(leader)
}
