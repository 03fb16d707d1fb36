//! A thread that left the common file system state keeps a working directory and a umask of its own.
//@ dump-fails: "working directory of its own"
use crate::gate::{Gate, Verdict};
use crate::tools_tasks::{must, outcome};
use crate::tools_threads::{Setup, each_thread, own_status};
use std::path::PathBuf;

fn observe() -> Verdict<(PathBuf, PathBuf, Vec<String>)> {
    Ok((std::env::current_dir()?, std::fs::read_link("/proc/thread-self/cwd")?, own_status(&["Umask"])?))
}

pub fn run(gate: &mut Gate) -> Verdict {
    let setup = |name: &'static str, umask: u32| -> Setup {
        Box::new(move || {
            // SAFETY: the call takes a number only.
            must("unshare", outcome(unsafe { libc::unshare(libc::CLONE_FS) }))?;
            std::fs::create_dir(name)?;
            std::env::set_current_dir(name)?;
            // SAFETY: the call takes a number only.
            unsafe { libc::umask(umask) };
            Ok(())
        })
    };
    each_thread(gate, vec![setup("first", 0o077), setup("second", 0o007)], observe)
}
