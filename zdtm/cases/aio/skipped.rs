//! Events that the program took by itself, from the ring in its memory, are gone. Those after them are there.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_aio::{Context, Request};

pub fn run(gate: &mut Gate) -> Verdict {
    let context = Context::new(8)?;
    let file = std::fs::File::create(gate.path("written"))?;
    let submit = |n| context.submit(&[Request::write(n, &file, b"one")]);
    (0..5).try_for_each(|n| submit(n).map(drop))?;
    context.skip_all();
    submit(5)?;
    gate.checkpoint()?;
    check_eq("head and tail", (context.header(2), context.header(3)), (5, 6))?;
    check_eq("the event", context.take(8)?, vec![5])?;
    context.check_works(&file, 300)
}
