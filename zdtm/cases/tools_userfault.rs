//! Userfaultfds by plain calls (linux/userfaultfd.h).

use crate::gate::{Verdict, check_eq};
use crate::tools_files::{owned, read_once};
use crate::tools_memory::{Area, page};
use nix::errno::Errno;
use nix::sys::ioctl::ioctl_num_type;
use std::os::fd::{AsRawFd, OwnedFd};

/// UFFDIO_REGISTER_MODE_*.
pub const MISSING: u64 = 1;
pub const WP: u64 = 2;
pub const MINOR: u64 = 4;
/// UFFD_FEATURE_*.
pub const EVENT_UNMAP: u64 = 1 << 6;
pub const MINOR_SHMEM: u64 = 1 << 10;
pub const THREAD_ID: u64 = 1 << 8;

/// A userfaultfd.
pub struct Faults(pub OwnedFd);

/// A fault: its flags (1 for a write, 2 for a write-protected page, 4 for a minor one) and the address of its page.
pub type Fault = (u64, usize);

impl Faults {
    /// One without features yet.
    pub fn raw(flags: i32) -> Verdict<Faults> {
        // SAFETY: integers only.
        Ok(Faults(owned(unsafe { libc::syscall(libc::SYS_userfaultfd, flags) })?))
    }

    /// One with features.
    pub fn new(features: u64) -> Verdict<Faults> {
        let faults = Faults::raw(libc::O_CLOEXEC)?;
        faults.choose(features)?;
        Ok(faults)
    }

    fn ask(&self, request: ioctl_num_type, argument: &mut [u64]) -> Result<(), Errno> {
        // SAFETY: each argument is as long as the structure that its request names.
        Errno::result(unsafe { libc::ioctl(self.0.as_raw_fd(), request, argument.as_mut_ptr()) }).map(drop)
    }

    /// UFFDIO_API.
    pub fn choose(&self, features: u64) -> Result<(), Errno> {
        self.ask(nix::request_code_readwrite!(0xaa, 0x3f, 24), &mut [0xaa, features, 0])
    }

    /// Registers an area.
    pub fn register(&self, area: &Area, modes: u64) -> Result<(), Errno> {
        let request = nix::request_code_readwrite!(0xaa, 0x00, 32);
        self.ask(request, &mut [area.at(0) as u64, bytes(area), modes, 0])
    }

    /// Ends that.
    pub fn unregister(&self, area: &Area) -> Result<(), Errno> {
        self.ask(nix::request_code_read!(0xaa, 0x01, 16), &mut [area.at(0) as u64, bytes(area)])
    }

    /// Puts a page that holds `word` at the first page of `area`.
    pub fn copy(&self, area: &Area, word: u64) -> Result<(), Errno> {
        let mut content = vec![0u64; page() / 8];
        content[0] = word;
        let request = nix::request_code_readwrite!(0xaa, 0x03, 40);
        self.ask(request, &mut [area.at(0) as u64, content.as_ptr() as u64, page() as u64, 0, 0])
    }

    /// Puts zero pages.
    pub fn zero(&self, area: &Area) -> Result<(), Errno> {
        self.ask(nix::request_code_readwrite!(0xaa, 0x04, 32), &mut [area.at(0) as u64, bytes(area), 0, 0])
    }

    /// Write-protects an area, or ends that.
    pub fn protect(&self, area: &Area, on: bool) -> Result<(), Errno> {
        let request = nix::request_code_readwrite!(0xaa, 0x06, 24);
        self.ask(request, &mut [area.at(0) as u64, bytes(area), u64::from(on)])
    }

    /// Maps pages that are there.
    pub fn go_on(&self, area: &Area) -> Result<(), Errno> {
        self.ask(nix::request_code_readwrite!(0xaa, 0x07, 32), &mut [area.at(0) as u64, bytes(area), 0, 0])
    }

    /// The next fault.
    pub fn next(&self) -> Verdict<Fault> {
        let message = read_once(&self.0, 32)?;
        check_eq("the kind of message", message.first().copied(), Some(0x12))?;
        let word = |n: usize| u64::from_ne_bytes(message.as_chunks().0[n]);
        Ok((word(1), word(2) as usize & !(page() - 1)))
    }

    /// Checks that `access` in another thread raises `fault`, and has `resolve` do something about it.
    pub fn check_fault<T: Send + 'static>(
        &self,
        access: impl FnOnce() -> T + Send + 'static,
        fault: Fault,
        resolve: impl FnOnce() -> Result<(), Errno>,
    ) -> Verdict<T> {
        let thread = crate::tools_threads::spawn(access)?;
        check_eq("the fault", self.next()?, fault)?;
        resolve()?;
        crate::tools_threads::join(thread)
    }
}

fn bytes(area: &Area) -> u64 {
    (area.pages() * page()) as u64
}
