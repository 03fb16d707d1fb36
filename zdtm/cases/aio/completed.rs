//! What has completed and was not taken yet is there to be taken: words, addresses and results.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_aio::{Context, Request};
use std::fs::File;

pub fn run(gate: &mut Gate) -> Verdict {
    let context = Context::new(8)?;
    let file = File::create(gate.path("written"))?;
    let closed = File::open(gate.path("written"))?;
    let requests = [
        Request::write(0x1111, &file, b"a"),
        Request::write(0x2222_3333_4444_5555, &file, b"some more"),
        Request::write(u64::MAX, &file, b""),
    ];
    let refused = Request::write(7, &closed, b"read only");
    check_eq("requests taken", context.submit(&requests)?, 3)?;
    check_eq("a write to a file that is open for reading", context.submit(&[refused]), Err(nix::errno::Errno::EBADF))?;
    check_eq("the first", context.take(1)?, vec![0x1111])?;
    gate.checkpoint()?;
    let events = context.events(2, 8)?;
    let seen: Vec<_> = events.iter().map(|e| (e.data, e.request, e.result, e.second)).collect();
    let at = |n: usize| &raw const requests[n] as u64;
    let expected = vec![(0x2222_3333_4444_5555, at(1), 9, 0), (u64::MAX, at(2), 0, 0)];
    check_eq("the events", seen, expected)?;
    context.check_works(&file, 300)
}
