//! Unix sockets whose peers are outside of what is dumped, in this process.

use crate::error::{Error, Result};
use crate::kind::sk_unix;
use crate::kind::tests::{Dumped, descriptor, dump, options, restore};
use crate::options::RestoreOptions;
use crate::sys::{Errno, socket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

const TYPES: [i32; 3] = [libc::SOCK_STREAM, libc::SOCK_SEQPACKET, libc::SOCK_DGRAM];

/// Dumps a socket whose peer is not, as one that may be lost if `external`.
fn dump_one(one: OwnedFd, external: bool) -> Result<(Dumped, String)> {
    let held = descriptor(one);
    let key = format!("unix[{}]", held.stat.st_ino);
    let given = format!("socket:[{}]", held.stat.st_ino);
    let mut options = options(false);
    if external {
        options.common.external = vec![key.parse().unwrap()];
    }
    Ok((dump(&options, &[held])?, given))
}

/// What can be read of a restored socket, read after read.
fn restored(dumped: &Dumped, options: &RestoreOptions) -> Vec<std::result::Result<Vec<u8>, Errno>> {
    let read = |fd: BorrowedFd<'_>| {
        let mut buffer = [0; 100];
        socket::receive(fd, &mut buffer, 0).map(|got| buffer[..got.len].to_vec())
    };
    restore(dumped, options, |cx, files| {
        let fd = files[0].copy.try_clone().unwrap();
        cx.open.insert(dumped.ids[0], Arc::new(fd));
        sk_unix::finish(cx).unwrap();
        (0..2).map(|_| read(files[0].copy.as_fd())).collect()
    })
    .unwrap()
}

#[test]
fn a_peer_outside_is_refused_or_lost_as_the_caller_says() {
    for kind in TYPES {
        let (one, two) = socket::pair(kind).unwrap();
        socket::send(two.as_fd(), b"word", None, &[], None).unwrap();
        let Err(error) = dump_one(one.try_clone().unwrap(), false) else { panic!("it was dumped") };
        assert!(matches!(&error, Error::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains("outside the tree"), "{error}");
        let (dumped, _) = dump_one(one, true).unwrap();
        let end = if kind == libc::SOCK_DGRAM { Err(Errno::EAGAIN) } else { Ok(Vec::new()) };
        assert_eq!(restored(&dumped, &RestoreOptions::default()), [Ok(b"word".to_vec()), end]);
    }
}

#[test]
fn a_socket_that_the_caller_gives_takes_the_place_of_one() {
    for kind in TYPES {
        let (one, _two) = socket::pair(kind).unwrap();
        let (dumped, key) = dump_one(one, true).unwrap();
        let (given, other) = socket::pair(kind).unwrap();
        socket::send(other.as_fd(), b"of the caller", None, &[], None).unwrap();
        let inherit_fds = vec![format!("fd[{}]:{key}", given.as_raw_fd()).parse().unwrap()];
        let options = RestoreOptions { inherit_fds, ..RestoreOptions::default() };
        assert_eq!(restored(&dumped, &options), [Ok(b"of the caller".to_vec()), Err(Errno::EAGAIN)]);
    }
}
