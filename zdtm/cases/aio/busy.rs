//! A program that is caught while requests to the disk are on their way: none is lost, none completes twice.
use crate::gate::{Gate, Verdict, check_eq, fail};
use crate::tools_aio::{Context, Request};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;

#[repr(align(4096))]
struct Block([u8; 4096]);
static BLOCK: Block = Block([7; 4096]);

pub fn run(gate: &mut Gate) -> Verdict {
    let context = Context::new(16)?;
    // Some file systems have no direct I/O: there requests complete at once.
    let open = |flags| OpenOptions::new().write(true).create(true).custom_flags(flags).open(gate.path("direct"));
    let file = open(libc::O_DIRECT).or_else(|_| open(0))?;
    gate.ready();
    let (mut submitted, mut completed) = (0u64, 0u64);
    let mut outstanding = std::collections::HashSet::new();
    while !gate.passed() || completed < submitted {
        while !gate.passed() && outstanding.len() < 8 {
            check_eq("requests taken", context.submit(&[Request::write(submitted, &file, &BLOCK.0)])?, 1)?;
            outstanding.insert(submitted);
            submitted += 1;
        }
        for event in context.events(1, 8)? {
            check_eq("a result", event.result, 4096)?;
            if !outstanding.remove(&event.data) {
                return fail(format!("request {} completed twice", event.data));
            }
            completed += 1;
        }
    }
    check_eq("requests without an end", outstanding.len(), 0)
}
