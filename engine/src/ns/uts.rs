//! UTS namespaces: the names of host and domain survive.

use super::inside;
use crate::error::{Doing, Error, Result};
use crate::image::proto::UtsnsEntry;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

const HOST: &str = "/proc/sys/kernel/hostname";
const DOMAIN: &str = "/proc/sys/kernel/domainname";

/// The names in a namespace.
pub fn read(namespace: &OwnedFd) -> Result<UtsnsEntry> {
    inside(namespace, || {
        let names = nix::sys::utsname::uname().doing(|| "ask for the names of host and domain")?;
        let (nodename, domainname) = (names.nodename().as_bytes().to_vec(), names.domainname().as_bytes().to_vec());
        Ok(UtsnsEntry { nodename, domainname })
    })
}

/// Sets the names in a namespace.
pub fn write(namespace: &OwnedFd, entry: &UtsnsEntry) -> Result<()> {
    const LONGEST: usize = 64;
    let names = [(HOST, &entry.nodename), (DOMAIN, &entry.domainname)];
    if names.iter().any(|(_, name)| name.len() > LONGEST || name.contains(&0) || name.contains(&b'\n')) {
        return Err(Error::state("the images hold a name of a host or domain that cannot be one"));
    }
    inside(namespace, || {
        names.iter().try_for_each(|(file, name)| std::fs::write(file, name).doing(|| format!("write {file}")))
    })
}
