//! A change of the window's size still tells the foreground group of the session, and comes with the new size.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_terminals::{master, session, set_window, window};
use nix::sys::signal::{SigSet, Signal};

pub fn run(gate: &mut Gate) -> Verdict {
    let master = master()?;
    let mut change = SigSet::empty();
    change.add(Signal::SIGWINCH);
    change.thread_block()?;
    set_window(&master, [24, 80, 0, 0])?;
    let (leader, _) = session(gate, &master, |gate, terminal| {
        check_eq("the size", window(&terminal)?, [24, 80, 0, 0])?;
        gate.wait();
        check_eq("the signal", change.wait()?, Signal::SIGWINCH)?;
        check_eq("the size afterwards", window(&terminal)?, [50, 132, 7, 8])
    })?;
    gate.checkpoint()?;
    set_window(&master, [50, 132, 7, 8])?;
    wait_ok(leader)
}
