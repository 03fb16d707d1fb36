//! Working directories and roots in /proc, of the process itself, of relatives, of a thread, of a dead task.
//@ needs: [cap:sys_chroot]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_relatives::{arrive, await_word, fork_logged, shared_word};
use crate::tools_tasks::{Word, gettid};
use crate::tools_threads::{join, spawn};
use nix::unistd::{Pid, chdir, chroot, getcwd, getpid};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::channel;

/// Starts a child with that working directory, which after the gate is still the one that `getcwd` and `entry` show.
fn child_in(gate: &mut Gate, word: &'static AtomicU32, path: String, entry: &'static str) -> Verdict<Pid> {
    gate.fork(move |gate| {
        chdir(path.as_str())?;
        arrive(word);
        gate.wait();
        check_eq("the child's working directory", getcwd()?, PathBuf::from(&path))?;
        check_eq(&format!("{entry} in {path}"), fs::symlink_metadata(entry).is_ok(), true)
    })
}

pub fn run(gate: &mut Gate) -> Verdict {
    static GO: Word = Word::new();
    let word = shared_word()?;
    let me = getpid();
    let (send, receive) = channel();
    let thread = spawn(move || {
        let told = send.send(gettid());
        GO.wait_for(1);
        told
    })?;
    let tid = receive.recv()?;
    let dead = gate.fork(|_| await_word(word, 1))?;
    let mut children = vec![
        child_in(gate, word, format!("/proc/{me}"), "stat")?,
        child_in(gate, word, format!("/proc/{me}/fd"), "0")?,
        child_in(gate, word, format!("/proc/{me}/fdinfo"), "1")?,
        child_in(gate, word, format!("/proc/{me}/map_files"), ".")?,
        child_in(gate, word, format!("/proc/{me}/task/{tid}"), "comm")?,
        child_in(gate, word, format!("/proc/{tid}/net"), "dev")?,
        gate.fork(|gate| {
            let path = format!("/proc/{dead}");
            chdir(path.as_str())?;
            arrive(word);
            gate.wait();
            let link = fs::read_link("/proc/self/cwd")?;
            check_eq("a dead task's directory", link, format!("{path} (deleted)").into())?;
            check("nothing is in it", fs::metadata("stat").is_err())
        })?,
    ];
    for inside in ["/", "/task"] {
        children.push(fork_logged(gate, |gate| {
            chroot(format!("/proc/{me}").as_str())?;
            chdir(inside)?;
            arrive(word);
            gate.wait();
            check_eq("the working directory below the root", getcwd()?, PathBuf::from(inside))?;
            let stat = fs::read_to_string("/stat")?;
            check("a file in the root", stat.starts_with(&format!("{me} (")))
        })?);
    }
    // Outside of /proc, with its root in it.
    children.push(fork_logged(gate, |gate| {
        let place = gate.dir().to_path_buf();
        chdir(&place)?;
        chroot(format!("/proc/{me}/task").as_str())?;
        arrive(word);
        gate.wait();
        check("the directory outside of the root", fs::exists("proc_directories-marker")?)?;
        check("the root", fs::exists(format!("/{me}/stat"))?)
    })?);
    fs::write(gate.path("proc_directories-marker"), b"")?;
    chdir("/proc/self/task")?;
    await_word(word, children.len() as u32)?;
    wait_ok(dead)?;
    gate.checkpoint()?;
    check_eq("the working directory", getcwd()?, format!("/proc/{me}/task").into())?;
    check("a file in it", fs::read_to_string(format!("{tid}/stat"))?.starts_with(&format!("{tid} (")))?;
    children.into_iter().try_for_each(wait_ok)?;
    GO.set(1);
    join(thread)??;
    Ok(())
}
