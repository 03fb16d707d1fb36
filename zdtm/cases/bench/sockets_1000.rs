//! Shape of a benchmark: a process with 1000 pairs of unix sockets, each with data in it.
//@ timeout: 120
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_unix::{pair, receive, send};
use nix::sys::socket::SockType;

pub fn run(gate: &mut Gate) -> Verdict {
    crate::tools_bench::many_descriptors()?;
    let mut pairs = Vec::new();
    for n in 0..1000u32 {
        let (one, two) = pair(SockType::Stream)?;
        send(&one, &n.to_ne_bytes(), &[], None)?;
        pairs.push((one, two));
    }
    gate.checkpoint()?;
    for (n, (_one, two)) in pairs.iter().enumerate() {
        check_eq("what is in a queue", receive(two, 8)?.bytes, (n as u32).to_ne_bytes().to_vec())?;
    }
    Ok(())
}
