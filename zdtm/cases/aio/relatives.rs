//! Parent and child have a context each, of the same name in their address spaces.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_aio::{Context, Request};
use crate::tools_tasks::{Word, stay};

pub fn run(gate: &mut Gate) -> Verdict {
    let file = std::fs::File::create(gate.path("written"))?;
    let arrived = Word::shared()?;
    let child = gate.fork(|gate| {
        let own = Context::new(8)?;
        own.submit(&[Request::write(1, &file, b"child")])?;
        stay(gate, arrived)?;
        check_eq("the child's event", own.take(8)?, vec![1])?;
        own.check_works(&file, 10)
    })?;
    let own = Context::new(8)?;
    own.submit(&[Request::write(2, &file, b"parent")])?;
    arrived.wait_for(1);
    gate.checkpoint()?;
    check_eq("the parent's event", own.take(8)?, vec![2])?;
    own.check_works(&file, 10)?;
    wait_ok(child)
}
