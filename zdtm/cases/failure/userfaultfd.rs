//! A userfault descriptor is refused by name; faults still come to it.
//@ dump-fails: "[userfaultfd]"
//@ needs: [kernel:userfaultfd, cap:sys_ptrace]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{owned, read_once};
use crate::tools_memory::{Area, page};
use nix::errno::Errno;
use std::os::fd::AsRawFd;

// linux/userfaultfd.h: _IOWR(0xAA, 0x3F, uffdio_api), _IOWR(0xAA, 0, uffdio_register), _IOWR(0xAA, 4, uffdio_zeropage).
const UFFDIO_API: u64 = 0xc018_aa3f;
const UFFDIO_REGISTER: u64 = 0xc020_aa00;
const UFFDIO_ZEROPAGE: u64 = 0xc020_aa04;

pub fn run(gate: &mut Gate) -> Verdict {
    // SAFETY: integers only.
    let faults = owned(unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) })?;
    let ask = |request: u64, argument: &mut [u64]| {
        // SAFETY: each argument is as long as the structure that its request number encodes.
        Errno::result(unsafe { libc::ioctl(faults.as_raw_fd(), request as _, argument.as_mut_ptr()) })
    };
    let area = Area::private(1)?;
    ask(UFFDIO_API, &mut [0xaa, 0, 0])?;
    // Missing pages.
    ask(UFFDIO_REGISTER, &mut [area.at(0) as u64, page() as u64, 1, 0])?;
    gate.checkpoint()?;
    let reader = std::thread::spawn(move || area.word(0));
    let message = read_once(&faults, 32)?;
    check_eq("the kind of message", message.first().copied(), Some(0x12))?;
    ask(UFFDIO_ZEROPAGE, &mut [area.at(0) as u64, page() as u64, 0, 0])?;
    check_eq("what the thread read", reader.join().ok(), Some(0))
}
