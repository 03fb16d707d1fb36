//! The suite's cases in one multi-call binary: `zdtm-cases AREA/CASE --dir DIR`, `zdtm-cases --list`.
//!
//! The entry is a C `main`: Rust's own start-up ignores SIGPIPE and installs an alternate signal stack, which a
//! case would then see as state of its own.
#![no_main]

mod gate;
mod tools;
mod tools_aio;
mod tools_bench;
mod tools_bpf;
mod tools_creds;
mod tools_events;
mod tools_files;
mod tools_ipc;
mod tools_maps;
mod tools_memfd;
mod tools_memory;
mod tools_mqueue;
mod tools_programs;
mod tools_relatives;
mod tools_rlimits;
mod tools_rseq;
mod tools_sched;
mod tools_screens;
mod tools_signals;
mod tools_spin;
mod tools_tasks;
mod tools_terminals;
mod tools_threads;
mod tools_timers;
mod tools_unix;
mod tools_uring;
mod tools_userfault;
mod tools_watch;
#[cfg(cpu = "x86")]
mod tools_x86;

use gate::{Gate, Verdict};
use std::ffi::{CStr, c_char, c_int};
use std::io::Write as _;
use std::path::PathBuf;

/// One case as the build script found it.
pub struct Case {
    /// `area/case`.
    pub name: &'static str,
    /// The source text; its head holds the documentation (`//!`) and the declaration (`//@`).
    pub source: &'static str,
    /// Sets a state up, passes the gate, checks the state.
    pub run: fn(&mut Gate) -> Verdict,
}

include!(concat!(env!("OUT_DIR"), "/cases.rs"));

/// The program's entry, called by the C library.
///
/// # Safety
/// `argv` holds `argc` pointers to NUL-terminated strings, as the C start-up code passes them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    let args: Vec<String> = (0..argc as usize)
        // SAFETY: the C start-up code passes argc valid strings.
        .map(|i| unsafe { CStr::from_ptr(*argv.add(i)) }.to_string_lossy().into_owned())
        .collect();
    match args.get(1).map(String::as_str) {
        Some("--list") => list(),
        Some(name) => match (CASES.iter().find(|c| c.name == name), args.get(2).map(String::as_str), args.get(3)) {
            (Some(case), Some("--dir"), Some(dir)) => run(case, PathBuf::from(dir)),
            (None, ..) => usage(&format!("no case is called {name}")),
            _ => usage("a case needs --dir DIR"),
        },
        None => usage("no case given"),
    }
}

fn usage(problem: &str) -> c_int {
    eprintln!("zdtm-cases: {problem}\nusage: zdtm-cases AREA/CASE --dir DIR | zdtm-cases --list");
    2
}

/// Prints each case's name and the lines of its head (`//!`, `//@`), a blank line between cases.
fn list() -> c_int {
    let mut out = std::io::stdout().lock();
    for case in CASES {
        let head: Vec<&str> =
            case.source.lines().take_while(|l| l.starts_with("//!") || l.starts_with("//@")).collect();
        if writeln!(out, "{}\n{}\n", case.name, head.join("\n")).is_err() {
            return 1;
        }
    }
    0
}

fn run(case: &Case, dir: PathBuf) -> c_int {
    let verdict = Gate::open(dir.clone()).and_then(|mut gate| {
        std::env::set_current_dir(gate.dir())?;
        (case.run)(&mut gate)
    });
    gate::conclude(&dir, &verdict)
}
