//! A context of asynchronous I/O is refused by name; it still completes what is submitted.
//@ dump-fails: "/[aio]"
use crate::gate::{Gate, Verdict, check_eq};
use nix::errno::Errno;
use std::fs::File;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let mut context = 0usize;
    // SAFETY: the word outlives the call.
    Errno::result(unsafe { libc::syscall(libc::SYS_io_setup, 8, &raw mut context) })?;
    gate.checkpoint()?;
    let file = File::create_new(gate.path("written"))?;
    // struct iocb (64 bytes): data, key and flags, opcode (IOCB_CMD_PWRITE 1), priority, descriptor, buffer, length.
    let text = *b"by aio";
    let mut request = [0u64; 8];
    request[0] = 5;
    // SAFETY: two 16-bit fields and a 32-bit one share the third word, in the machine's order.
    unsafe {
        let fields = request.as_mut_ptr().add(2).cast::<u16>();
        fields.write(1);
        fields.add(2).cast::<u32>().write(file.as_raw_fd() as u32);
    }
    request[3] = text.as_ptr() as u64;
    request[4] = text.len() as u64;
    let mut events = [0u64; 4];
    // SAFETY: request, text and events outlive the calls, which wait for the completion.
    unsafe {
        let list = [request.as_ptr()];
        check_eq("requests taken", Errno::result(libc::syscall(libc::SYS_io_submit, context, 1, list.as_ptr()))?, 1)?;
        let got = libc::syscall(libc::SYS_io_getevents, context, 1, 1, events.as_mut_ptr(), std::ptr::null::<u8>());
        check_eq("events", Errno::result(got)?, 1)?;
    }
    check_eq("its data and result", (events[0], events[2]), (5, 6))?;
    check_eq("the file", std::fs::read(gate.path("written"))?, text.to_vec())
}
