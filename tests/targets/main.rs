//! Programs that the fault tests dump: `stasis-targets NAME FILE`. Each does small pieces of work whose right result is
//! known, again and again, until it is told to stop; the file, mapped shared, counts pieces and failures.
//! `stasis-targets send TASK SIGNAL VALUE` queues a signal with a payload.

mod blocked;
mod compute;
mod rseq;
mod seccomp;
mod signals;

use std::sync::atomic::{AtomicU64, Ordering};

/// The words of the shared file: what the test and the target tell each other.
pub struct Page(&'static [AtomicU64; 512]);

impl Page {
    const READY: usize = 0;
    const STOP: usize = 1;
    const FAILURES: usize = 2;
    const WORKERS: usize = 3;
    const COUNTS: usize = 8;
    const RECEIVED: usize = 16;

    fn map(path: &str) -> std::io::Result<Page> {
        let file = std::fs::OpenOptions::new().read(true).write(true).open(path)?;
        let len = std::num::NonZeroUsize::MIN.saturating_add(4095);
        let prot = nix::sys::mman::ProtFlags::PROT_READ | nix::sys::mman::ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice, never unmapped.
        let at = unsafe { nix::sys::mman::mmap(None, len, prot, nix::sys::mman::MapFlags::MAP_SHARED, file, 0)? };
        // SAFETY: page aligned, 4096 bytes, alive until the process ends; atomics may be shared.
        Ok(Page(unsafe { at.cast::<[AtomicU64; 512]>().as_ref() }))
    }

    /// Says that all is set up and that `workers` count their work.
    pub fn ready(&self, workers: u64) {
        self.0[Self::WORKERS].store(workers, Ordering::SeqCst);
        self.0[Self::READY].store(1, Ordering::SeqCst);
    }

    /// Whether the target is to end.
    pub fn stopping(&self) -> bool {
        self.0[Self::STOP].load(Ordering::SeqCst) != 0
    }

    /// Counts a piece of work of a worker, right or wrong. `code` says what was wrong.
    pub fn count(&self, worker: usize, right: bool, code: u64) {
        if !right {
            self.0[Self::FAILURES].store(code, Ordering::SeqCst);
        }
        self.0[Self::COUNTS + worker].fetch_add(1, Ordering::SeqCst);
    }

    /// Says what it received so far, one word for each kind.
    pub fn received<const N: usize>(&self, words: [u64; N]) {
        self.0[Self::RECEIVED..].iter().zip(words).for_each(|(at, word)| at.store(word, Ordering::SeqCst));
    }

    /// Works until told to stop.
    pub fn work(&self, worker: usize, mut piece: impl FnMut() -> Result<(), u64>) {
        while !self.stopping() {
            let result = piece();
            self.count(worker, result.is_ok(), result.err().unwrap_or(0));
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, "send", task, signal, value] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        return signals::send(task, signal, value);
    }
    let [_, name, file] = arguments.as_slice() else {
        eprintln!("usage: stasis-targets NAME FILE");
        std::process::exit(2);
    };
    let page: &'static Page = match Page::map(file) {
        Ok(page) => Box::leak(Box::new(page)),
        Err(e) => {
            eprintln!("failed to map {file}: {e}");
            std::process::exit(2);
        }
    };
    if let Err(e) = nix::unistd::setsid() {
        eprintln!("failed to make a session: {e}");
        std::process::exit(2);
    }
    match name.as_str() {
        "checksum" => compute::threads(page),
        "tree" => compute::tree(page),
        "nanosleep" => blocked::run(page, blocked::nanosleep),
        "futex" => blocked::run(page, blocked::futex),
        "ppoll" => blocked::run(page, blocked::ppoll),
        "unrestarted" => blocked::run(page, blocked::unrestarted),
        "sigsuspend" => blocked::sigsuspend(page),
        "read" => blocked::read(page),
        "trap-blocked" => signals::trap_blocked(page),
        "trap-ignored" => signals::trap_ignored(page),
        "all-caught" => signals::all_caught(page),
        "timer" => signals::timer(page),
        "receiver" => signals::receiver(page),
        "rseq" => rseq::run(page),
        "strict" => seccomp::strict(page),
        "filtered" => seccomp::filtered(page),
        _ => {
            eprintln!("no target is called {name}");
            std::process::exit(2);
        }
    }
}
