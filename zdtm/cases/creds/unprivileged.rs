//! A user's process without any privilege, with threads: it keeps descriptors of files that it could not open itself,
//! its name, and what it may not do.
//@ needs: [cap:setuid, cap:setgid]
use crate::gate::{Gate, Verdict, check, check_eq, fail};
use crate::tools::wait_ok;
use crate::tools_creds::{must_call, set_groups};
use crate::tools_tasks::{Word, child};
use crate::tools_threads::{join, own_status, spawn};
use std::fs::{File, Permissions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;

const STATUS: [&str; 9] = ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs", "Umask"];

fn become_user() -> Verdict {
    set_groups(&[])?;
    must_call(libc::SYS_setresgid, [1000, 1000, 1000])?;
    must_call(libc::SYS_setresuid, [1000, 1000, 1000]).map(drop)
}

fn life(gate: &mut Gate, arrived: &Word) -> Verdict {
    let path = gate.path("secret");
    let mut secret = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    secret.set_permissions(Permissions::from_mode(0o600))?;
    secret.write_all(b"only for root")?;
    let (up, go): (&'static Word, &'static Word) = (Word::shared()?, Word::shared()?);
    let thread = spawn(move || {
        become_user()?;
        let before = own_status(&STATUS)?;
        up.bump();
        go.wait_for(1);
        check_eq("the thread's status", own_status(&STATUS)?, before)
    })?;
    become_user()?;
    up.wait_for(1);
    let before = own_status(&STATUS)?;
    check_eq("the effective capabilities", before[5].clone(), "0".repeat(16))?;
    arrived.bump();
    gate.wait();
    check_eq("the status", own_status(&STATUS)?, before)?;
    check("the file cannot be opened again", File::open(&path).is_err())?;
    check("root's rights do not come back", nix::unistd::setuid(nix::unistd::Uid::from_raw(0)).is_err())?;
    let mut text = String::new();
    secret.rewind()?;
    secret.read_to_string(&mut text)?;
    check_eq("the file that is open", text.as_str(), "only for root")?;
    go.set(1);
    join(thread)?.or_else(|failure| fail(format!("the thread: {failure}")))
}

pub fn run(gate: &mut Gate) -> Verdict {
    let arrived = Word::shared()?;
    let user = child(gate, |gate| life(gate, arrived).inspect_err(|failure| eprintln!("child: {failure}")))?;
    arrived.wait_for(1);
    gate.checkpoint()?;
    wait_ok(user)
}
