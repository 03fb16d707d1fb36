//! Messages of a seqpacket pair keep their bounds, large ones and small ones, up to a full queue.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_files::fcntl;
use crate::tools_unix::{is_empty, pair, receive, send};
use nix::errno::Errno;
use nix::sys::socket::SockType;

pub fn run(gate: &mut Gate) -> Verdict {
    let (one, two) = pair(SockType::SeqPacket)?;
    fcntl(&one, libc::F_SETFL, libc::O_NONBLOCK)?;
    let mut sizes = vec![1, 100_000, 7];
    for size in &sizes {
        send(&one, &vec![*size as u8; *size], &[], None)?;
    }
    loop {
        match nix::unistd::write(&one, &[1; 1000]) {
            Ok(size) => sizes.push(size),
            Err(Errno::EAGAIN) => break,
            Err(e) => return Err(e.into()),
        }
    }
    gate.checkpoint()?;
    check_eq("room for more", nix::unistd::write(&one, &[1; 1000]), Err(Errno::EAGAIN))?;
    for (number, size) in sizes.iter().enumerate() {
        let got = receive(&two, 200_000)?.bytes;
        check_eq("a message's length", got.len(), *size)?;
        check("its bytes", got.iter().all(|byte| *byte == if number < 3 { *size as u8 } else { 1 }))?;
    }
    is_empty(&two)
}
