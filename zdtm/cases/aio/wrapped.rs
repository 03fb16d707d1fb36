//! A ring that went round: its events lie at its end and at its beginning.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_aio::{Context, Request};

pub fn run(gate: &mut Gate) -> Verdict {
    let context = Context::new(32)?;
    let file = std::fs::File::create(gate.path("written"))?;
    let places = u64::from(context.header(1));
    for n in 0..places - 7 {
        context.submit(&[Request::write(n, &file, b"early")])?;
        context.take(1)?;
    }
    for n in 0..20 {
        context.submit(&[Request::write(n, &file, b"late")])?;
    }
    check("the tail is before the head", context.header(3) < context.header(2))?;
    let before = (context.header(2), context.header(3));
    gate.checkpoint()?;
    check_eq("head and tail", (context.header(2), context.header(3)), before)?;
    check_eq("the words", context.take(64)?, (0..20).collect())?;
    context.check_works(&file, places * 2)
}
