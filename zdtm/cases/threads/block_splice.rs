//! Threads blocked in splice and tee from an empty pipe, and in vmsplice to a full one, move the data that comes.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_signals::dispose;
use crate::tools_tasks::outcome;
use crate::tools_threads::Call;
use std::io::{Read as _, Write as _, pipe};
use std::os::fd::AsRawFd as _;
use std::ptr::null_mut;

pub fn run(gate: &mut Gate) -> Verdict {
    // Where the case fails, ends of pipes are closed while others still write: that must not hide the failure.
    dispose(libc::SIGPIPE, libc::SIG_IGN)?;
    let (splice_from, mut splice_writer) = pipe()?;
    let (mut splice_reader, splice_to) = pipe()?;
    let (mut tee_from, mut tee_writer) = pipe()?;
    let (mut tee_reader, tee_to) = pipe()?;
    let (mut full_reader, mut full) = pipe()?;
    // SAFETY: the call takes numbers only.
    let capacity = unsafe { libc::fcntl(full.as_raw_fd(), libc::F_GETPIPE_SZ) } as usize;
    let (from, to) = (splice_from.as_raw_fd(), splice_to.as_raw_fd());
    let splice = Call::start(libc::SYS_splice, move || {
        // SAFETY: the call takes numbers and no offsets.
        outcome(unsafe { libc::splice(from, null_mut(), to, null_mut(), 100, 0) } as i64)
    })?;
    let (from, to) = (tee_from.as_raw_fd(), tee_to.as_raw_fd());
    // SAFETY: the call takes numbers only.
    let tee = Call::start(libc::SYS_tee, move || outcome(unsafe { libc::tee(from, to, 100, 0) } as i64))?;
    full.write_all(&vec![b'w'; capacity])?;
    let target = full.as_raw_fd();
    let vmsplice = Call::start(libc::SYS_vmsplice, move || {
        let page: &'static [u8] = vec![b'v'; 64].leak();
        let part = libc::iovec { iov_base: page.as_ptr().cast_mut().cast(), iov_len: 64 };
        // SAFETY: the bytes are never freed nor changed.
        outcome(unsafe { libc::vmsplice(target, &part, 1, 0) } as i64)
    })?;
    gate.checkpoint()?;
    splice.still()?;
    tee.still()?;
    vmsplice.still()?;
    splice_writer.write_all(b"spliced")?;
    tee_writer.write_all(b"teed")?;
    check_eq("splice", splice.result()?, (7, 0))?;
    check_eq("tee", tee.result()?, (4, 0))?;
    let mut data = [0; 7];
    splice_reader.read_exact(&mut data)?;
    check_eq("the spliced data", &data, b"spliced")?;
    for reader in [&mut tee_reader, &mut tee_from] {
        let mut data = [0; 4];
        reader.read_exact(&mut data)?;
        check_eq("the teed data", &data, b"teed")?;
    }
    let mut data = vec![0; capacity + 64];
    full_reader.read_exact(&mut data)?;
    check_eq("vmsplice", vmsplice.result()?, (64, 0))?;
    let (first, last) = data.split_at(capacity);
    check("the data of the full pipe", first.iter().all(|b| *b == b'w') && last.iter().all(|b| *b == b'v'))
}
