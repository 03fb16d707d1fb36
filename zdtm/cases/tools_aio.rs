//! Asynchronous I/O by plain calls (linux/aio_abi.h), and the ring as libaio looks at it.

use crate::gate::{Verdict, check_eq};
use nix::errno::Errno;
use std::os::fd::AsRawFd;

/// A context: the address of its ring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Context(pub usize);

/// What completed: the request's word, its address, and its result.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Event {
    pub data: u64,
    pub request: u64,
    pub result: i64,
    pub second: i64,
}

/// A request.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Request {
    data: u64,
    key_and_flags: [u32; 2],
    opcode: u16,
    priority: i16,
    fd: i32,
    buffer: u64,
    length: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    eventfd: i32,
}

impl Request {
    /// Writes `text` to the start of a file.
    pub fn write(data: u64, fd: &impl AsRawFd, text: &'static [u8]) -> Request {
        Request {
            data,
            key_and_flags: [0; 2],
            opcode: 1,
            priority: 0,
            fd: fd.as_raw_fd(),
            buffer: text.as_ptr() as u64,
            length: text.len() as u64,
            offset: 0,
            reserved: 0,
            flags: 0,
            eventfd: 0,
        }
    }

    /// The same, counted by an eventfd.
    pub fn counted(self, eventfd: &impl AsRawFd) -> Request {
        Request { flags: 1, eventfd: eventfd.as_raw_fd(), ..self }
    }
}

impl Context {
    /// A context for `requests`.
    pub fn new(requests: u32) -> Verdict<Context> {
        let mut context = 0usize;
        // SAFETY: the word outlives the call.
        Errno::result(unsafe { libc::syscall(libc::SYS_io_setup, requests, &raw mut context) })?;
        Ok(Context(context))
    }

    /// Submits requests; how many were taken. Those to ordinary files complete at once.
    pub fn submit(&self, requests: &[Request]) -> Result<i64, Errno> {
        let list: Vec<*const Request> = requests.iter().map(|request| &raw const *request).collect();
        // SAFETY: the kernel copies the requests; what they point to is static.
        Errno::result(unsafe { libc::syscall(libc::SYS_io_submit, self.0, list.len(), list.as_ptr()) })
    }

    /// Takes at least `least` and at most `most` events.
    pub fn events(&self, least: usize, most: usize) -> Result<Vec<Event>, Errno> {
        let mut events = vec![Event { data: 0, request: 0, result: 0, second: 0 }; most];
        let (at, none) = (events.as_mut_ptr(), std::ptr::null::<u8>());
        // SAFETY: room for that many events; no time limit.
        let got = unsafe { libc::syscall(libc::SYS_io_getevents, self.0, least, most, at, none) };
        events.truncate(Errno::result(got)? as usize);
        Ok(events)
    }

    /// The words of the events that can be taken at once.
    pub fn take(&self, most: usize) -> Result<Vec<u64>, Errno> {
        Ok(self.events(0, most)?.iter().map(|event| event.data).collect())
    }

    /// Ends the context.
    pub fn destroy(&self) -> Result<(), Errno> {
        // SAFETY: an integer; the ring is not looked at afterwards.
        Errno::result(unsafe { libc::syscall(libc::SYS_io_destroy, self.0) }).map(drop)
    }

    /// A word of the ring's header: 1 number of places, 2 head, 3 tail.
    pub fn header(&self, word: usize) -> u32 {
        // SAFETY: the ring is mapped and begins with eight words, which the kernel changes.
        unsafe { (self.0 as *const u32).add(word).read_volatile() }
    }

    /// Says as libaio does that all events were taken.
    pub fn skip_all(&self) {
        // SAFETY: the third word of the ring is the program's to write.
        unsafe { (self.0 as *mut u32).add(2).write_volatile(self.header(3)) }
    }

    /// Checks that what is submitted completes, in order.
    #[track_caller]
    pub fn check_works(&self, fd: &impl AsRawFd, count: u64) -> Verdict {
        for n in 0..count {
            check_eq("requests taken", self.submit(&[Request::write(n, fd, b"works")])?, 1)?;
            let events = self.events(1, 4)?;
            check_eq("words and results", events.iter().map(|e| (e.data, e.result)).collect(), vec![(n, 5)])?;
        }
        Ok(())
    }
}
