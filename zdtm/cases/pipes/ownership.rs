//! A pipe made by another user belongs to that user, with the mode given to it: he may open it again, others may not.
//@ needs: [cap:setuid]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{read_once, stat, write_once};
use crate::tools_relatives::{arrive, await_word, fork_logged, shared_word};
use nix::errno::Errno;
use nix::unistd::pipe;
use std::fs::File;
use std::os::fd::AsRawFd;

const USER: u32 = 1234;

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let (roots, _roots_writer) = pipe()?;
    let child = fork_logged(gate, |gate| {
        // SAFETY: plain calls on the child's own credentials.
        unsafe {
            Errno::result(libc::setresgid(USER, USER, USER))?;
            Errno::result(libc::setresuid(USER, USER, USER))?;
        }
        let (reader, writer) = pipe()?;
        // SAFETY: integers only.
        Errno::result(unsafe { libc::fchmod(writer.as_raw_fd(), 0o640) })?;
        write_once(&writer, b"mine")?;
        arrive(word);
        gate.wait();
        let status = stat(&reader)?;
        check_eq("the owners", (status.st_uid, status.st_gid), (USER, USER))?;
        check_eq("the mode", format!("{:o}", status.st_mode & 0o7777), "640".to_owned())?;
        let again = File::open(format!("/proc/self/fd/{}", reader.as_raw_fd()))?;
        check_eq("the data by way of /proc", read_once(&again, 10)?, b"mine".to_vec())?;
        let denied = File::open(format!("/proc/self/fd/{}", roots.as_raw_fd())).err();
        check_eq("opening root's pipe again", denied.and_then(|e| e.raw_os_error()), Some(libc::EACCES))
    })?;
    await_word(word, 1)?;
    gate.checkpoint()?;
    check_eq("the owner of root's pipe", stat(&roots)?.st_uid, 0)?;
    wait_ok(child)
}
