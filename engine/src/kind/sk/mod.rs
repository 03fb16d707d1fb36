//! What sockets of every family share: their options ([`opts`]) and what waits in their queues ([`queue`]).

pub mod opts;
pub mod queue;

use super::Descriptor;
use crate::sys::socket;
use nix::sys::stat::SFlag;
use std::os::fd::AsFd;

/// The family of a socket (AF_*); none for anything else.
pub fn family(descriptor: &Descriptor) -> Option<i32> {
    if descriptor.file_type() != SFlag::S_IFSOCK || descriptor.is_path() {
        return None;
    }
    socket::get(descriptor.copy.as_fd(), libc::SO_DOMAIN).ok()
}
