//! A child that has the ring of its parent's context, but no context, is refused.
//@ dump-fails: "it belongs to no context of this process"
//@ unseen: it is asked of the process itself
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_aio::Context;
use crate::tools_tasks::{Word, stay};
use nix::errno::Errno;

pub fn run(gate: &mut Gate) -> Verdict {
    let file = std::fs::File::create(gate.path("written"))?;
    let context = Context::new(8)?;
    let arrived = Word::shared()?;
    let child = gate.fork(|gate| {
        check_eq("the parent's context", context.take(1), Err(Errno::EINVAL))?;
        stay(gate, arrived)
    })?;
    arrived.wait_for(1);
    gate.checkpoint()?;
    context.check_works(&file, 10)?;
    wait_ok(child)
}
