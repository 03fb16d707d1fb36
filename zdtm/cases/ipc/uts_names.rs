//! Host and domain name of a UTS namespace of its own.
//@ flavours: [ns]
use crate::gate::{Gate, Verdict, check_eq};
use nix::sys::utsname::uname;

pub fn run(gate: &mut Gate) -> Verdict {
    nix::unistd::sethostname("zdtm-host")?;
    // SAFETY: the text has the length given.
    nix::errno::Errno::result(unsafe { libc::setdomainname(c"zdtm.domain".as_ptr(), 11) })?;
    let names = || -> Verdict<_> { Ok((uname()?.nodename().to_owned(), uname()?.domainname().to_owned())) };
    let before = names()?;
    gate.checkpoint()?;
    check_eq("host and domain name", names()?, before)
}
