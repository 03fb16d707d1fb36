//! The gate: where a case tells the harness that its state is set up, and waits until it may check it.
//!
//! The gate is one word in a file that harness and case map shared (`DIR/gate`), waited on as a futex: no descriptor,
//! no signal and no timer of its own is in the case's state. The mapping and the waiting survive a dump and restore
//! like any shared file mapping and any futex wait.

use std::fmt::{self, Display};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The words of the gate, in the order in which a run passes them.
pub mod state {
    /// The case is setting its state up: what a new gate says by itself.
    #[allow(dead_code)]
    pub const STARTING: u32 = 0;
    /// The state is set up; the harness may dump.
    pub const READY: u32 = 1;
    /// The harness is through; the case checks its state.
    pub const GO: u32 = 2;
}

/// Why a case failed, in words for the report.
#[derive(Debug)]
pub struct Failure(pub String);

/// What a case returns: nothing, or why it failed.
pub type Verdict<T = ()> = Result<T, Failure>;

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(e: E) -> Self {
        Failure(e.to_string())
    }
}

/// Fails with a text.
pub fn fail<T>(text: impl Into<String>) -> Verdict<T> {
    Err(Failure(text.into()))
}

/// Fails unless `got` equals `want`; `what` names the value in the report.
#[track_caller]
pub fn check_eq<T: PartialEq + fmt::Debug>(what: &str, got: T, want: T) -> Verdict {
    if got == want {
        return Ok(());
    }
    let at = std::panic::Location::caller();
    fail(format!("{what} is {got:?}, expected {want:?} ({}:{})", at.file(), at.line()))
}

/// Fails unless `holds`; `what` says what should hold.
#[track_caller]
pub fn check(what: &str, holds: bool) -> Verdict {
    if holds {
        return Ok(());
    }
    let at = std::panic::Location::caller();
    fail(format!("{what} does not hold ({}:{})", at.file(), at.line()))
}

/// A case's view of the gate and of its scratch directory.
pub struct Gate {
    word: &'static AtomicU32,
    dir: PathBuf,
}

impl Gate {
    /// Maps the gate of the scratch directory `dir`, making the file where a case is run by hand.
    pub fn open(dir: PathBuf) -> Verdict<Gate> {
        let dir = dir.canonicalize()?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(dir.join("gate"))?;
        file.set_len(4096)?;
        Ok(Gate { word: map_word(&file)?, dir })
    }

    /// The scratch directory: the case's working directory, removed by the harness.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A path in the scratch directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Options of the engine's at the dump that the header cannot know: of what is there only now.
    pub fn dump_options(&self, options: &[String]) -> Verdict {
        Ok(std::fs::write(self.path("dump-options"), options.join("\n"))?)
    }

    /// Says that the state is set up and waits for the dump and restore (or whatever the route does) to be over.
    pub fn checkpoint(&mut self) -> Verdict {
        self.ready();
        self.wait();
        Ok(())
    }

    /// Says that the state is set up, without waiting: for a case that must be caught doing something else.
    pub fn ready(&self) {
        self.word.store(state::READY, Ordering::SeqCst);
        futex(self.word, libc::FUTEX_WAKE, i32::MAX as u32);
    }

    /// Waits until the harness is through. Children and threads of a case may wait too.
    pub fn wait(&self) {
        loop {
            let now = self.word.load(Ordering::SeqCst);
            if now == state::GO {
                return;
            }
            futex(self.word, libc::FUTEX_WAIT, now);
        }
    }

    /// Whether the harness is through: for a case that spins.
    pub fn passed(&self) -> bool {
        self.word.load(Ordering::SeqCst) == state::GO
    }

    /// Forks a child that runs `body` and exits: 0 when it returns Ok, else 1 with its failure in the report.
    pub fn fork(&mut self, body: impl FnOnce(&mut Gate) -> Verdict) -> Verdict<nix::unistd::Pid> {
        // SAFETY: the child runs on a copy of this single thread's state; cases fork before they make threads.
        match unsafe { nix::unistd::fork()? } {
            nix::unistd::ForkResult::Parent { child } => Ok(child),
            nix::unistd::ForkResult::Child => {
                let verdict = body(self);
                let code = conclude_child(&self.dir, &verdict);
                // SAFETY: _exit only ends the process; a child must not run the parent's exit handlers.
                unsafe { libc::_exit(code) }
            }
        }
    }
}

/// Writes the verdict where the harness reads it (`DIR/verdict`) and returns the exit code.
pub fn conclude(dir: &Path, verdict: &Verdict) -> i32 {
    let text = match verdict {
        Ok(()) => "pass\n".to_owned(),
        Err(failure) => format!("fail: {failure}\n"),
    };
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.join("verdict"))
        .and_then(|mut f| f.write_all(text.as_bytes()));
    i32::from(verdict.is_err() || written.is_err())
}

fn conclude_child(dir: &Path, verdict: &Verdict) -> i32 {
    match verdict {
        Ok(()) => 0,
        Err(_) => conclude(dir, verdict),
    }
}

fn map_word(file: &File) -> Verdict<&'static AtomicU32> {
    let len = std::num::NonZeroUsize::new(4096).expect("not zero");
    let prot = nix::sys::mman::ProtFlags::PROT_READ | nix::sys::mman::ProtFlags::PROT_WRITE;
    // SAFETY: a fresh shared mapping at an address of the kernel's choice; it is never unmapped.
    let at = unsafe { nix::sys::mman::mmap(None, len, prot, nix::sys::mman::MapFlags::MAP_SHARED, file, 0)? };
    // SAFETY: the mapping is page aligned, 4096 bytes long and lives until the process ends.
    Ok(unsafe { at.cast::<AtomicU32>().as_ref() })
}

fn futex(word: &AtomicU32, op: i32, value: u32) {
    let null = std::ptr::null::<libc::timespec>();
    // SAFETY: the word is a valid, aligned u32 of this process; the kernel only reads it.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), op, value, null, null, 0u32) };
}
