//! Listeners in the file system, stream and seqpacket, with an accepted connection and a client that has a name too: all
//! names stay, and others can connect. The file keeps its owner and its mode.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_unix::{accept, at, bound, client, connect_to, listener, name, peer_name, talk};
use nix::sys::socket::SockType;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

pub fn run(gate: &mut Gate) -> Verdict {
    let mut all = Vec::new();
    for (kind, file) in [(SockType::Stream, "stream"), (SockType::SeqPacket, "packets")] {
        let place = gate.path(file);
        let server = listener(kind, &at(&place))?;
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o620))?;
        std::os::unix::fs::chown(&place, Some(12), Some(34))?;
        let one = client(kind, &at(&place))?;
        let ends = (one, accept(&server)?);
        let own = bound(kind, &at(&gate.path(&format!("{file}-client"))))?;
        connect_to(&own, &at(&place))?;
        let named = (own, accept(&server)?);
        all.push((kind, place, server, ends, named));
    }
    gate.checkpoint()?;
    for (kind, place, server, ends, named) in &all {
        let meta = std::fs::metadata(place)?;
        check_eq("mode and owner", (meta.mode() & 0o7777, meta.uid(), meta.gid()), (0o620, 12, 34))?;
        let here = at(place);
        check_eq("the listener's name", name(server)?, here.clone())?;
        check_eq("names of the ends", (name(&ends.0)?, name(&ends.1)?), (Vec::new(), here.clone()))?;
        check_eq("peers of the ends", (peer_name(&ends.0)?, peer_name(&ends.1)?), (here.clone(), Vec::new()))?;
        let own = [here.clone(), b"-client".to_vec()].concat();
        check_eq("the named client", (name(&named.0)?, peer_name(&named.1)?), (own, name(&named.0)?))?;
        talk(&ends.0, &ends.1)?;
        talk(&named.1, &named.0)?;
        let new = client(*kind, &here)?;
        talk(&new, &accept(server)?)?;
    }
    Ok(())
}
