//! Socket pairs of each type, with data under way both ways, go on talking.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_unix::{TYPES, is_empty, pair, send, talk, text};

pub fn run(gate: &mut Gate) -> Verdict {
    let mut pairs = Vec::new();
    for kind in TYPES {
        let (one, two) = pair(kind)?;
        send(&one, b"under", &[], None)?;
        send(&one, b" way", &[], None)?;
        send(&two, b"home", &[], None)?;
        pairs.push((kind, one, two));
    }
    gate.checkpoint()?;
    for (kind, one, two) in &pairs {
        let parts = if *kind == nix::sys::socket::SockType::Stream { vec!["under way"] } else { vec!["under", " way"] };
        for part in parts {
            check_eq("what was under way", text(two)?.as_str(), part)?;
        }
        check_eq("what came back", text(one)?.as_str(), "home")?;
        is_empty(one)?;
        is_empty(two)?;
        talk(one, two)?;
    }
    Ok(())
}
