//! Seccomp filters: chains shared by many threads are written once.

use super::freeze::Thread;
use crate::error::{Doing, Result};
use crate::image::proto::{SeccompEntry, SeccompFilter, SeccompMode};
use crate::sys::Errno;
use crate::sys::ptrace;
use std::collections::HashMap;

/// The filters found so far.
#[derive(Default)]
pub struct Filters {
    image: SeccompEntry,
    known: HashMap<(Vec<u8>, Option<u32>, u64), u32>,
}

impl Filters {
    /// A thread's mode, and the number of its last filter. Its `prev` leads to the ones before.
    pub fn of_thread(&mut self, thread: &Thread) -> Result<(SeccompMode, Option<u32>)> {
        match thread.outside.status.seccomp.unwrap_or(0) {
            0 => return Ok((SeccompMode::Disabled, None)),
            1 => return Ok((SeccompMode::Strict, None)),
            _ => {}
        }
        let tid = thread.seized.tid();
        let mut programs = Vec::new();
        loop {
            match ptrace::seccomp_filter(tid, programs.len()) {
                Ok(program) => {
                    let flags = ptrace::seccomp_flags(tid, programs.len()).unwrap_or(0);
                    programs.push((program, flags));
                }
                Err(Errno::ENOENT) => break,
                Err(e) => return Err(e).doing(|| format!("read seccomp filter {} of task {tid}", programs.len())),
            }
        }
        // The kernel counts from the first that was installed.
        let mut last = None;
        for (filter, flags) in programs {
            last = Some(self.intern(filter, last, flags));
        }
        Ok((SeccompMode::Filter, last))
    }

    fn intern(&mut self, filter: Vec<u8>, prev: Option<u32>, flags: u64) -> u32 {
        let key = (filter, prev, flags);
        if let Some(&id) = self.known.get(&key) {
            return id;
        }
        let id = self.image.seccomp_filters.len() as u32;
        let flags = (flags != 0).then_some(flags as u32);
        self.image.seccomp_filters.push(SeccompFilter { filter: key.0.clone(), prev, flags });
        self.known.insert(key, id);
        id
    }

    /// The message of all filters.
    pub fn finish(self) -> SeccompEntry {
        self.image
    }
}
