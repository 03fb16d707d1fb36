//! A batch: calls that the stub makes one after another in another task, and the memory that they refer to.

use crate::error::{Error, Result};
use crate::sys::{self, Errno, Pid, RemoteAddr};
use stasis_arch::{Entry, native};
use zerocopy::IntoBytes;

/// What an entry holds before it was run: no call returns this.
const NOT_RUN: i64 = i64::MIN;

/// What a call must return for the batch to have succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Must {
    /// Anything.
    Anything,
    /// No error.
    Succeed,
    /// Exactly this.
    Be(i64),
}

/// One call of a batch, to ask for its result afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handle(usize);

/// Calls and data, laid out for a region of the other task: entries first, then data. Addresses are final from the
/// start, so that an argument can point at data of the same batch.
#[derive(Debug)]
pub struct Batch {
    at: RemoteAddr,
    max_entries: usize,
    entries: Vec<Entry>,
    /// For each entry what its call must return.
    must: Vec<Must>,
    data: Vec<u8>,
    max_data: usize,
    /// It is not given up half way.
    whole: bool,
}

impl Batch {
    /// An empty batch for the region of `len` bytes at `at`, of which room for `max_entries` entries is set apart.
    pub fn new(at: RemoteAddr, len: u64, max_entries: usize) -> Batch {
        let max_data = (len as usize).saturating_sub(max_entries * size_of::<Entry>());
        Batch { at, max_entries, entries: Vec::new(), must: Vec::new(), data: Vec::new(), max_data, whole: false }
    }

    /// From now on it holds calls that undo what others of it do: a dump that is given up waits for its end.
    pub fn must_end(&mut self) {
        self.whole = true;
    }

    /// Whether it must come to its end.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Adds a call that must succeed.
    pub fn call(&mut self, nr: i64, args: &[u64]) -> Handle {
        self.push(nr, args, Must::Succeed)
    }

    /// Adds a call that must return `result`: a transfer that must be complete.
    pub fn call_for(&mut self, nr: i64, args: &[u64], result: i64) -> Handle {
        self.push(nr, args, Must::Be(result))
    }

    /// Adds a call that may fail: its result is looked at by the caller.
    pub fn try_call(&mut self, nr: i64, args: &[u64]) -> Handle {
        self.push(nr, args, Must::Anything)
    }

    fn push(&mut self, nr: i64, args: &[u64], must: Must) -> Handle {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        if native::MMAP_BY_POINTER && nr == libc::SYS_mmap {
            all = [self.put(all.as_bytes()).0, 0, 0, 0, 0, 0];
        }
        self.entries.push(Entry { nr, args: all, ret: NOT_RUN });
        self.must.push(must);
        Handle(self.entries.len() - 1)
    }

    /// Where a call's sixth argument and its result stand: an iovec of what it transferred, where that argument (which
    /// read(2) and write(2) do not have) is the buffer.
    pub fn transfer(&self, call: Handle) -> RemoteAddr {
        const _: () = assert!(std::mem::offset_of!(Entry, args) + 48 == std::mem::offset_of!(Entry, ret));
        self.at.plus((call.0 * size_of::<Entry>() + std::mem::offset_of!(Entry, ret) - 8) as u64)
    }

    /// Puts bytes into the batch's memory, aligned to 16, and says where the other task finds them.
    pub fn put(&mut self, bytes: &[u8]) -> RemoteAddr {
        self.data.resize(self.data.len().next_multiple_of(16), 0);
        let at = self.data_at().plus(self.data.len() as u64);
        self.data.extend_from_slice(bytes);
        at
    }

    /// Puts a NUL-terminated string.
    pub fn put_str(&mut self, text: &[u8]) -> RemoteAddr {
        let at = self.put(text);
        self.data.push(0);
        at
    }

    /// Room for `len` bytes of results, zero at first.
    pub fn room(&mut self, len: usize) -> RemoteAddr {
        self.data.resize(self.data.len().next_multiple_of(16), 0);
        let at = self.data_at().plus(self.data.len() as u64);
        self.data.resize(self.data.len() + len, 0);
        at
    }

    /// Whether `entries` more calls and `bytes` more data still fit.
    pub fn fits(&self, entries: usize, bytes: usize) -> bool {
        const POINTED_AT: usize = if native::MMAP_BY_POINTER { 64 } else { 0 };
        let bytes = bytes + entries * POINTED_AT;
        self.entries.len() + entries <= self.max_entries && self.data.len() + bytes + 32 <= self.max_data
    }

    /// Whether it holds no call.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many calls it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Where the entries go.
    pub fn entries_at(&self) -> RemoteAddr {
        self.at
    }

    fn data_at(&self) -> RemoteAddr {
        self.at.plus((self.max_entries * size_of::<Entry>()) as u64)
    }

    /// Whether the task, which runs, has made the last call.
    pub(super) fn is_through(&self, pid: Pid) -> sys::Result<bool> {
        let last_result = self.result_at(self.entries.len().saturating_sub(1));
        sys::mem::read_word(pid, last_result).map(|ret| ret as i64 != NOT_RUN)
    }

    /// Writes entries and data into the task.
    pub fn send(&self, pid: Pid) -> Result<()> {
        Batch::send_all(std::iter::once(self), pid)
    }

    /// Writes several batches into their task, by as few calls as the kernel allows.
    pub fn send_all<'b>(batches: impl Iterator<Item = &'b Batch>, pid: Pid) -> Result<()> {
        let mut ranges: Vec<(RemoteAddr, &[u8])> = Vec::new();
        for batch in batches {
            if !batch.fits(0, 0) {
                let calls = batch.entries.len();
                return Err(Error::state(format!("a batch of {calls} calls is too large for task {pid}")));
            }
            ranges.push((batch.at, batch.entries.as_bytes()));
            ranges.extend((!batch.data.is_empty()).then(|| (batch.data_at(), batch.data.as_slice())));
        }
        let failed = |errno| Error::Kernel { doing: format!("write a batch into task {pid}"), errno, help: None };
        let mut chunks = ranges.chunks(sys::mem::MAX_RANGES);
        chunks.try_for_each(|chunk| sys::mem::write_scattered(pid, chunk)).map_err(failed)
    }

    /// Reads results and data back and reports the first call that must succeed and did not.
    pub fn fetch(&mut self, pid: Pid) -> Result<()> {
        Batch::fetch_all(std::iter::once(self), pid)
    }

    /// [`Batch::fetch`] of several batches of a task, by as few calls as the kernel allows.
    pub fn fetch_all<'b>(batches: impl Iterator<Item = &'b mut Batch>, pid: Pid) -> Result<()> {
        let mut batches: Vec<&mut Batch> = batches.collect();
        let mut ranges: Vec<(RemoteAddr, &mut [u8])> = Vec::new();
        for batch in &mut batches {
            let data_at = batch.data_at();
            ranges.push((batch.at, batch.entries.as_mut_bytes()));
            ranges.extend((!batch.data.is_empty()).then_some((data_at, batch.data.as_mut_slice())));
        }
        let failed = |errno| Error::Kernel { doing: format!("read results of task {pid}"), errno, help: None };
        let mut chunks = ranges.chunks_mut(sys::mem::MAX_RANGES);
        chunks.try_for_each(|chunk| sys::mem::read_scattered(pid, chunk)).map_err(failed)?;
        batches.iter().try_for_each(|batch| batch.check(pid))
    }

    /// Reports the first call that must succeed and did not.
    fn check(&self, pid: Pid) -> Result<()> {
        for (entry, must) in self.entries.iter().zip(&self.must) {
            if entry.ret == NOT_RUN {
                return Err(Error::state(format!("task {pid} did not come to the end of its batch")));
            }
            if *must != Must::Anything && is_error(entry.ret) {
                return Err(Error::Call {
                    task: pid,
                    call: describe(entry),
                    errno: Errno::from_raw(-entry.ret as i32),
                });
            }
            if let Must::Be(wanted) = *must
                && wanted != entry.ret
            {
                let call = describe(entry);
                return Err(Error::state(format!("task {pid}: {call} returned {} instead of {wanted}", entry.ret)));
            }
        }
        Ok(())
    }

    /// A call's result: what it returned, or the error.
    pub fn result(&self, call: Handle) -> sys::Result<u64> {
        let ret = self.entries[call.0].ret;
        if is_error(ret) { Err(Errno::from_raw(-ret as i32)) } else { Ok(ret as u64) }
    }

    /// Where the `n`-th argument of call number `call` is, which need not be added yet: an earlier one may fill it in.
    pub fn argument_at(&self, call: usize, n: usize) -> RemoteAddr {
        self.at.plus((call * size_of::<Entry>() + 8 + 8 * n) as u64)
    }

    /// Where the result of call number `call` is.
    pub fn result_at(&self, call: usize) -> RemoteAddr {
        self.at.plus((call * size_of::<Entry>() + 56) as u64)
    }

    /// An argument as it is now.
    pub fn argument(&self, call: Handle, n: usize) -> u64 {
        self.entries[call.0].args[n]
    }

    /// The bytes that now stand where [`Batch::room`] or [`Batch::put`] pointed.
    pub fn bytes(&self, at: RemoteAddr, len: usize) -> &[u8] {
        let from = (at.0 - self.data_at().0) as usize;
        &self.data[from..from + len]
    }

    /// A 32-bit word among the data.
    pub fn u32_at(&self, at: RemoteAddr) -> u32 {
        let mut word = [0; 4];
        word.copy_from_slice(self.bytes(at, 4));
        u32::from_ne_bytes(word)
    }

    /// A 64-bit word among the data.
    pub fn u64_at(&self, at: RemoteAddr) -> u64 {
        let mut word = [0; 8];
        word.copy_from_slice(self.bytes(at, 8));
        u64::from_ne_bytes(word)
    }
}

fn is_error(ret: i64) -> bool {
    (-4095..0).contains(&ret)
}

/// A call in words: its name where we use it, its arguments in hexadecimal.
pub(super) fn describe(entry: &Entry) -> String {
    let name = match entry.nr {
        libc::SYS_mmap => "mmap",
        libc::SYS_munmap => "munmap",
        libc::SYS_mremap => "mremap",
        libc::SYS_mprotect => "mprotect",
        libc::SYS_madvise => "madvise",
        libc::SYS_preadv => "preadv",
        libc::SYS_pread64 => "pread64",
        libc::SYS_prctl => "prctl",
        libc::SYS_clone3 => "clone3",
        libc::SYS_rt_sigaction => "rt_sigaction",
        libc::SYS_rt_sigqueueinfo => "rt_sigqueueinfo",
        libc::SYS_rt_tgsigqueueinfo => "rt_tgsigqueueinfo",
        libc::SYS_sigaltstack => "sigaltstack",
        libc::SYS_setsid => "setsid",
        libc::SYS_setpgid => "setpgid",
        libc::SYS_dup3 => "dup3",
        libc::SYS_fcntl => "fcntl",
        libc::SYS_recvmsg => "recvmsg",
        libc::SYS_setresuid => "setresuid",
        libc::SYS_setresgid => "setresgid",
        libc::SYS_setgroups => "setgroups",
        libc::SYS_capset => "capset",
        libc::SYS_seccomp => "seccomp",
        libc::SYS_setrlimit => "setrlimit",
        libc::SYS_prlimit64 => "prlimit64",
        libc::SYS_timer_create => "timer_create",
        libc::SYS_timer_settime => "timer_settime",
        libc::SYS_chroot => "chroot",
        libc::SYS_fchdir => "fchdir",
        libc::SYS_rseq => "rseq",
        _ => "",
    };
    let args: Vec<String> = entry.args.iter().map(|a| format!("{a:#x}")).collect();
    match name {
        "" => format!("system call {}({})", entry.nr, args.join(", ")),
        name => format!("{name}({})", args.join(", ")),
    }
}
