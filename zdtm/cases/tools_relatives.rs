//! Tasks that work together: a word they share, waiting until a task sleeps in a call, clones that share tables.

use crate::gate::{Gate, Verdict, check, check_eq, fail};
use crate::tools::{patience, wait_ok};
use crate::tools_files::{read_once, write_once};
use crate::tools_memory::Area;
use crate::tools_tasks::clone_child;
use nix::unistd::Pid;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A word in memory that this process shares with the children it makes from now on.
pub fn shared_word() -> Verdict<&'static AtomicU32> {
    Ok(Area::shared(1)?.atomic(0))
}

/// Says that one more task has come to the point that the word counts.
pub fn arrive(word: &AtomicU32) {
    word.fetch_add(1, Ordering::SeqCst);
}

/// Waits until the word is at least `value`; fails after a while, so that a child's death does not hang the case.
pub fn await_word(word: &AtomicU32, value: u32) -> Verdict {
    until(&format!("the shared word to become {value}"), || Ok(word.load(Ordering::SeqCst) >= value))
}

/// Waits until `holds`; fails when [`patience`] is at an end.
pub fn until(what: &str, mut holds: impl FnMut() -> Verdict<bool>) -> Verdict {
    let (start, patience) = (Instant::now(), patience());
    while !holds()? {
        if start.elapsed() > patience {
            return fail(format!("waited in vain for {what}"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Waits until a task sleeps in the system call of that number (`/proc/PID/syscall`).
pub fn await_call(task: Pid, number: i64) -> Verdict {
    until(&format!("task {task} to sleep in call {number}"), || {
        let text = std::fs::read_to_string(format!("/proc/{task}/syscall"))?;
        Ok(text.split(' ').next() == Some(number.to_string().as_str()))
    })
}

/// Forks a child that shares with its parent what `flags` (CLONE_FILES, CLONE_FS) say; else as `Gate::fork`.
pub fn fork_sharing(gate: &mut Gate, flags: i32, body: impl FnOnce(&mut Gate) -> Verdict) -> Verdict<Pid> {
    // Not `clone`, whose arguments have another order on s390x.
    clone_child(gate, (flags, libc::SIGCHLD, 0), body)
}

/// Forks a child that may lose its way to the verdict (by chroot or by privileges): its failure goes to the log.
pub fn fork_logged(gate: &mut Gate, body: impl FnOnce(&mut Gate) -> Verdict) -> Verdict<Pid> {
    fork_sharing(gate, 0, body)
}

/// Passes the gate with a child in a namespace of its own, which must then still be in it. `name` is that of the
/// namespace in `/proc/PID/ns`.
pub fn child_in_namespace(gate: &mut Gate, flag: i32, name: &str) -> Verdict {
    let word = shared_word()?;
    let link = |task: &str| std::fs::read_link(format!("/proc/{task}/ns/{name}"));
    let child = fork_sharing(gate, flag, |gate| {
        let own = link("self")?;
        arrive(word);
        gate.wait();
        await_word(word, 2)?;
        check_eq("the child's namespace", link("self")?, own)
    })?;
    await_word(word, 1)?;
    let (own, childs) = (link("self")?, link(&child.to_string())?);
    check("the child's namespace is another", own != childs)?;
    gate.checkpoint()?;
    check_eq("both namespaces", (link("self")?, link(&child.to_string())?), (own, childs))?;
    arrive(word);
    wait_ok(child)
}

/// Passes the gate with something of each common sort: memory private and shared, an open file, a pipe with data
/// between two tasks. For cases whose point is what happens to the images.
pub fn ordinary_tree(gate: &mut Gate) -> Verdict {
    let (word, private, shared) = (shared_word()?, Area::private(8)?, Area::shared(4)?);
    private.fill(1);
    shared.fill(2);
    std::fs::write(gate.path("file"), b"0123456789")?;
    let file = std::fs::File::open(gate.path("file"))?;
    read_once(&file, 4)?;
    let (reader, writer) = nix::unistd::pipe()?;
    write_once(&writer, b"under way")?;
    let child = gate.fork(|gate| {
        private.set(0, 7);
        arrive(word);
        gate.wait();
        check_eq("the child's page", private.word(0), 7)?;
        check_eq("the data in the pipe", read_once(&reader, 100)?, b"under way".to_vec())
    })?;
    await_word(word, 1)?;
    gate.checkpoint()?;
    wait_ok(child)?;
    private.check_fill("private memory", 1)?;
    shared.check_fill("shared memory", 2)?;
    check_eq("the rest of the file", read_once(&file, 100)?, b"456789".to_vec())
}
