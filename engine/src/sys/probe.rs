//! System calls that only `check` makes: each asks the kernel for one thing and changes nothing outside of a child
//! process made for it.

mod child;

use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};

use nix::errno::Errno;
use nix::request_code_readwrite;
use nix::unistd::Pid;

pub use child::{Tracee, clone_with_tid, in_child, with_tracee};

/// An area of this process's own memory, unmapped when dropped.
pub struct Area {
    start: NonNull<libc::c_void>,
    len: usize,
}

impl Area {
    /// Maps `len` bytes, readable and writable or readable only, private and anonymous.
    pub fn anonymous(len: usize, writable: bool) -> Result<Area, Errno> {
        let protection = if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        Area::map(len, protection, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)
    }

    /// Maps the first `len` bytes of `file` to be read.
    pub fn of_file(file: &File, len: usize) -> Result<Area, Errno> {
        Area::map(len, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd())
    }

    fn map(len: usize, protection: i32, flags: i32, fd: i32) -> Result<Area, Errno> {
        // SAFETY: the kernel chooses an address that nothing uses.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, fd, 0) };
        match NonNull::new(start) {
            Some(start) if start.as_ptr() != libc::MAP_FAILED => Ok(Area { start, len }),
            _ => Err(Errno::last()),
        }
    }

    /// Where the area begins.
    pub fn address(&self) -> usize {
        self.start.as_ptr() as usize
    }

    /// Writes one byte at the beginning. Only for areas that were mapped writable.
    pub fn touch(&mut self) {
        // SAFETY: the area is ours and at least one byte long; a volatile write is never left out.
        unsafe { self.start.as_ptr().cast::<u8>().write_volatile(1) }
    }

    /// The byte at `offset`.
    ///
    /// # Panics
    /// The area is shorter.
    pub fn read_at(&self, offset: usize) -> u8 {
        assert!(offset < self.len, "a byte outside of the area");
        // SAFETY: the area is ours and mapped readable, and the byte lies in it.
        unsafe { self.start.as_ptr().cast::<u8>().add(offset).read_volatile() }
    }

    /// Asks for transparent huge pages in the area (MADV_HUGEPAGE).
    pub fn want_huge_pages(&mut self) -> Result<(), Errno> {
        // SAFETY: the area is ours; the advice changes nothing that a program sees.
        Errno::result(unsafe { libc::madvise(self.start.as_ptr(), self.len, libc::MADV_HUGEPAGE) }).map(drop)
    }

    /// Makes the area's first page a guard (MADV_GUARD_INSTALL, 6.13).
    pub fn guard(&mut self) -> Result<(), Errno> {
        const MADV_GUARD_INSTALL: i32 = 102;
        // SAFETY: the area is ours; nothing reads the page afterwards but through calls that may fail.
        Errno::result(unsafe { libc::madvise(self.start.as_ptr(), page_size(), MADV_GUARD_INSTALL) }).map(drop)
    }

    /// Locks the area's pages as they come in (MLOCK_ONFAULT); it is split from its neighbours then.
    pub fn lock_on_fault(&mut self) -> Result<(), Errno> {
        let flags = libc::MLOCK_ONFAULT as libc::c_int;
        // SAFETY: the area is ours; a lock ends with it.
        Errno::result(unsafe { libc::mlock2(self.start.as_ptr(), self.len, flags as _) }).map(drop)
    }

    /// Gives the area a name (PR_SET_VMA_ANON_NAME, 5.17 with CONFIG_ANON_VMA_NAME).
    pub fn name(&mut self, name: &std::ffi::CStr) -> Result<(), Errno> {
        const PR_SET_VMA: i32 = 0x5356_4d41;
        const PR_SET_VMA_ANON_NAME: libc::c_ulong = 0;
        // SAFETY: the area is ours, and the kernel copies the name.
        let done = unsafe { libc::prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, self.address(), self.len, name.as_ptr()) };
        Errno::result(done).map(drop)
    }

    /// Asks PAGEMAP_SCAN through `pagemap` (an open `/proc/self/pagemap`) how many regions of the area have all of
    /// `categories`.
    pub fn scan(&self, pagemap: BorrowedFd<'_>, categories: u64) -> Result<u64, Errno> {
        let mut regions = [[0u64; 3]; 4];
        let start = self.address() as u64;
        let mut argument: [u64; 12] = [0; 12];
        argument[0] = size_of_val(&argument) as u64;
        argument[2] = start;
        argument[3] = start + self.len as u64;
        argument[5] = regions.as_mut_ptr() as u64;
        argument[6] = regions.len() as u64;
        argument[9] = categories;
        argument[11] = categories;
        let request = request_code_readwrite!(b'f', 16, size_of_val(&argument));
        // SAFETY: the argument is a `struct pm_scan_arg` whose vector has room for as many regions as it says.
        let found = unsafe { libc::ioctl(pagemap.as_raw_fd(), request, argument.as_mut_ptr()) };
        Errno::result(found).map(|n| n as u64)
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: the area is ours and nobody can hold a reference into it.
        unsafe { libc::munmap(self.start.as_ptr(), self.len) };
    }
}

/// Bytes of a page.
pub fn page_size() -> usize {
    // SAFETY: sysconf has no preconditions.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// The two files of a kcmp that compares descriptors.
pub fn kcmp_files(a: (Pid, BorrowedFd<'_>), b: (Pid, BorrowedFd<'_>)) -> Result<i64, Errno> {
    const KCMP_FILE: i32 = 0;
    // SAFETY: kcmp takes numbers only.
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_kcmp,
            a.0.as_raw(),
            b.0.as_raw(),
            KCMP_FILE,
            a.1.as_raw_fd() as usize,
            b.1.as_raw_fd() as usize,
        )
    })
}

/// Compares a file with what is registered under its number in an epoll descriptor (KCMP_EPOLL_TFD, 4.13).
pub fn kcmp_epoll(pid: Pid, file: BorrowedFd<'_>, epoll: BorrowedFd<'_>) -> Result<i64, Errno> {
    const KCMP_EPOLL_TFD: i32 = 7;
    let slot = [epoll.as_raw_fd() as u32, file.as_raw_fd() as u32, 0];
    let (pid, file) = (pid.as_raw(), file.as_raw_fd() as usize);
    // SAFETY: the slot is a `struct kcmp_epoll_slot`, which the kernel only reads.
    Errno::result(unsafe { libc::syscall(libc::SYS_kcmp, pid, pid, KCMP_EPOLL_TFD, file, slot.as_ptr()) })
}

/// A descriptor of a process (5.3).
pub fn pidfd_open(pid: Pid) -> Result<OwnedFd, Errno> {
    // SAFETY: the call takes numbers only.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })
}

/// A copy of another process's descriptor of that number (5.6).
pub fn pidfd_getfd(pidfd: BorrowedFd<'_>, number: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: the call takes numbers only.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0) })
}

/// A userfaultfd.
pub fn userfaultfd() -> Result<OwnedFd, Errno> {
    // SAFETY: the call takes numbers only.
    owned(unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | libc::O_NONBLOCK) })
}

/// Asks a new userfaultfd for `features`; the result are all features that the kernel has.
pub fn userfaultfd_features(fd: BorrowedFd<'_>, features: u64) -> Result<u64, Errno> {
    const UFFD_API: u64 = 0xaa;
    let mut api = [UFFD_API, features, 0];
    let request = request_code_readwrite!(0xaa, 0x3f, size_of_val(&api));
    // SAFETY: the argument is a `struct uffdio_api`.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), request, api.as_mut_ptr()) })?;
    Ok(api[1])
}

/// Closes a range of descriptors in which none can be open (close_range, 5.9).
pub fn close_no_range() -> Result<(), Errno> {
    // SAFETY: no descriptor can have the highest number, so nothing is closed.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, u32::MAX, u32::MAX, 0) }).map(drop)
}

/// Seals no memory at all (mseal, 6.10).
pub fn mseal_nothing(area: &Area) -> Result<(), Errno> {
    const SYS_MSEAL: libc::c_long = 462;
    // SAFETY: a length of zero seals nothing.
    Errno::result(unsafe { libc::syscall(SYS_MSEAL, area.address(), 0usize, 0usize) }).map(drop)
}

/// What this process registered for with membarrier(2) (6.3).
pub fn barrier_registrations() -> Result<i64, Errno> {
    const MEMBARRIER_CMD_GET_REGISTRATIONS: i32 = 1 << 9;
    // SAFETY: it only asks.
    Errno::result(unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GET_REGISTRATIONS, 0, 0) })
}

/// Reads whether timers are made with chosen ids (PR_TIMER_CREATE_RESTORE_IDS, 6.15).
pub fn timer_restore_ids() -> Result<i32, Errno> {
    const PR_TIMER_CREATE_RESTORE_IDS: i32 = 77;
    const GET: libc::c_ulong = 2;
    // SAFETY: the call takes numbers only.
    Errno::result(unsafe { libc::prctl(PR_TIMER_CREATE_RESTORE_IDS, GET, 0usize, 0usize, 0usize) })
}

/// The size of PR_SET_MM_MAP's argument in this kernel (CONFIG_CHECKPOINT_RESTORE).
pub fn set_mm_map_size() -> Result<u32, Errno> {
    let mut size = 0u32;
    // SAFETY: the kernel writes one u32.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_MM, libc::PR_SET_MM_MAP_SIZE, &mut size, 0usize, 0usize) })?;
    Ok(size)
}

/// Asks for one of x86's vDSOs at a free address. EEXIST says that the kernel would, if there were not one already.
pub fn map_vdso(call: i64, code: i32) -> Result<(), Errno> {
    // SAFETY: with address zero the kernel chooses a place that nothing uses, or refuses.
    Errno::result(unsafe { libc::syscall(call as libc::c_long, code, 0usize) }).map(drop)
}

/// The features of the shadow stack of this thread, zero for none (x86, 6.6).
pub fn shadow_stack_status(call: i64, code: i32) -> Result<u64, Errno> {
    let mut status = 0u64;
    // SAFETY: the kernel writes one u64.
    Errno::result(unsafe { libc::syscall(call as libc::c_long, code, &mut status) })?;
    Ok(status)
}

/// Moves the ring of an asynchronous I/O context and asks the context at its new address. Leaves both behind: only for
/// a child process.
pub fn move_aio_ring(ring_size: impl Fn(usize) -> Option<usize>) -> Result<(), Errno> {
    let mut context: libc::c_ulong = 0;
    // SAFETY: the kernel writes the context's address.
    Errno::result(unsafe { libc::syscall(libc::SYS_io_setup, 1, &mut context) })?;
    let size = ring_size(context as usize).ok_or(Errno::ENODATA)?;
    let target = Area::anonymous(size, true)?;
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    let place = target.start.as_ptr();
    // SAFETY: the ring is used by the kernel only, and the target is ours and of its size.
    let moved = unsafe { libc::mremap(context as *mut libc::c_void, size, size, flags, place) };
    std::mem::forget(target);
    if moved == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    // SAFETY: no event is asked for, so nothing is written.
    let events = unsafe {
        libc::syscall(libc::SYS_io_getevents, moved, 0usize, 0usize, ptr::null_mut::<u8>(), ptr::null::<u8>())
    };
    Errno::result(events).map(drop)
}

/// Makes a tun device of the kernel's choice of name in this network namespace; it goes with the descriptor.
pub fn make_tun(tun: BorrowedFd<'_>) -> Result<(), Errno> {
    const IFF_TUN: u16 = 1;
    let mut request = [0u8; 40];
    request[16..18].copy_from_slice(&IFF_TUN.to_ne_bytes());
    let code = nix::request_code_write!(b'T', 202, size_of::<i32>());
    // SAFETY: the argument is a `struct ifreq` of 40 bytes.
    Errno::result(unsafe { libc::ioctl(tun.as_raw_fd(), code, request.as_mut_ptr()) }).map(drop)
}

/// Adds the mount at `to` to the peer group of the mount at `from` (MOVE_MOUNT_SET_GROUP, 5.15).
pub fn set_mount_group(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    const EMPTY_PATHS_AND_SET_GROUP: u32 = 0x4 | 0x40 | 0x100;
    let (from, to, empty) = (from.as_raw_fd(), to.as_raw_fd(), c"");
    // SAFETY: both paths are empty, the descriptors name the mounts.
    let done = unsafe {
        libc::syscall(libc::SYS_move_mount, from, empty.as_ptr(), to, empty.as_ptr(), EMPTY_PATHS_AND_SET_GROUP)
    };
    Errno::result(done).map(drop)
}

/// Installs a seccomp filter that allows everything, for good: only for a child process.
pub fn install_filter() -> Result<(), Errno> {
    const RETURN_ALLOW: libc::sock_filter = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0x7fff_0000 };
    let mut filter = [RETURN_ALLOW];
    let program = libc::sock_fprog { len: 1, filter: filter.as_mut_ptr() };
    nix::sys::prctl::set_no_new_privs()?;
    // SAFETY: the program lives until the call, which copies it, has returned.
    let done = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &program) };
    Errno::result(done).map(drop)
}

/// The descriptor that a call has returned, if it did.
fn owned(number: libc::c_long) -> Result<OwnedFd, Errno> {
    let number = Errno::result(number)?;
    let number = i32::try_from(number).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Our own page map, to be used with [`Area::scan`].
pub fn own_pagemap() -> std::io::Result<File> {
    File::open("/proc/self/pagemap")
}
