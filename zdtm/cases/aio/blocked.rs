//! A thread that waits for events goes on waiting, and gets those that come later.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_aio::{Context, Request};
use crate::tools_threads::Call;

pub fn run(gate: &mut Gate) -> Verdict {
    let context = Context::new(8)?;
    let file = std::fs::File::create(gate.path("written"))?;
    let waiting = Call::start(libc::SYS_io_getevents, move || context.events(1, 4))?;
    gate.checkpoint()?;
    waiting.still()?;
    context.submit(&[Request::write(2, &file, b"two")])?;
    let events = waiting.result()??;
    check_eq("the events", events.iter().map(|e| (e.data, e.result)).collect::<Vec<_>>(), vec![(2, 3)])
}
