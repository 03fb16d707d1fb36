//! A process that opened files as root and dropped its privileges keeps them open, and may open no more.
//@ needs: [cap:setuid]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{position, read_once, write_once};
use crate::tools_relatives::{arrive, await_word, fork_logged, shared_word};
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let secret = gate.path("secret");
    fs::write(&secret, b"0123456789")?;
    fs::create_dir(gate.path("closed"))?;
    fs::write(gate.path("closed/inner"), b"inner")?;
    let child = fork_logged(gate, |gate| {
        let file = File::options().read(true).write(true).open(&secret)?;
        let inner = File::open(gate.path("closed/inner"))?;
        read_once(&file, 4)?;
        setgroups(&[])?;
        setgid(Gid::from_raw(65534))?;
        setuid(Uid::from_raw(65534))?;
        arrive(word);
        gate.wait();
        check_eq("the position", position(&file)?, 4)?;
        check_eq("reading on", read_once(&file, 3)?, b"456".to_vec())?;
        write_once(&file, b"X")?;
        check_eq("the file below a closed directory", read_once(&inner, 9)?, b"inner".to_vec())?;
        check_eq("opening it again", File::open(&secret).err().map(|e| e.kind()), Some(ErrorKind::PermissionDenied))
    })?;
    await_word(word, 1)?;
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o000))?;
    fs::set_permissions(gate.path("closed"), PermissionsExt::from_mode(0o700))?;
    gate.checkpoint()?;
    wait_ok(child)?;
    check_eq("what the child wrote", fs::read(&secret)?, b"0123456X89".to_vec())?;
    check_eq("the mode", format!("{:o}", fs::metadata(&secret)?.permissions().mode() & 0o7777), "0".to_owned())
}
