//! A ring without a free place stays so until events are taken.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_aio::{Context, Request};
use nix::errno::Errno;

pub fn run(gate: &mut Gate) -> Verdict {
    let context = Context::new(200)?;
    let file = std::fs::File::create(gate.path("written"))?;
    let mut taken = 0;
    let refused = loop {
        match context.submit(&[Request::write(taken, &file, b"full")]) {
            Ok(_) => taken += 1,
            Err(e) => break e,
        }
    };
    check_eq("no place", refused, Errno::EAGAIN)?;
    check("more than were asked for", taken >= 200)?;
    gate.checkpoint()?;
    check_eq("still no place", context.submit(&[Request::write(0, &file, b"full")]), Err(Errno::EAGAIN))?;
    check_eq("the words", context.take(taken as usize)?, (0..taken).collect())?;
    let again: Vec<_> = (0..taken).map(|n| Request::write(n, &file, b"again")).collect();
    check_eq("places", context.submit(&again)?, taken as i64)?;
    check_eq("the words of the second time", context.take(taken as usize)?, (0..taken).collect())
}
