//! Pipes through images and back, in this process.

use crate::kind::tests::{Dumped, descriptor, dump, options, restore};
use crate::options::RestoreOptions;
use crate::sys::{self, Errno};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{pipe2, read, write};
use std::os::fd::{AsFd, OwnedFd};

fn set_packets(w: &OwnedFd, on: bool) {
    let mode = sys::file::flags(w.as_fd()).unwrap() & !libc::O_DIRECT;
    sys::file::set_flags(w.as_fd(), mode | if on { libc::O_DIRECT } else { 0 }).unwrap();
}

fn pipe() -> (OwnedFd, OwnedFd) {
    pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).unwrap()
}

/// All reads that a pipe has to give, with a large buffer.
fn reads(r: &OwnedFd) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut buffer = vec![0; 1 << 21];
    loop {
        match read(r, &mut buffer) {
            Ok(0) | Err(Errno::EAGAIN) => return all,
            Ok(n) => all.push(buffer[..n].to_vec()),
            Err(e) => panic!("{e}"),
        }
    }
}

fn dump_ends(ends: Vec<OwnedFd>) -> Dumped {
    let ends: Vec<_> = ends.into_iter().map(descriptor).collect();
    dump(&options(false), &ends).unwrap()
}

/// Dumps a pipe by its write end, reads it, and expects the restored one to give the same reads and to have the same
/// capacity; `write_more` is written to both before.
fn same_reads(pipe: (OwnedFd, OwnedFd), write_more: &[u8]) -> Vec<Vec<u8>> {
    let (r, w) = pipe;
    let dumped = dump_ends(vec![w.try_clone().unwrap(), r.try_clone().unwrap()]);
    let size = fcntl(&w, FcntlArg::F_GETPIPE_SZ);
    let more = |w: &OwnedFd| if write_more.is_empty() { Ok(0) } else { write(w, write_more) };
    let wrote = more(&w);
    let before = reads(&r);
    restore(&dumped, &RestoreOptions::default(), |_, ends| {
        assert_eq!(fcntl(&ends[0].copy, FcntlArg::F_GETPIPE_SZ), size);
        assert_eq!(more(&ends[0].copy), wrote);
        let after = reads(&ends[1].copy);
        assert_eq!(after.iter().map(Vec::len).collect::<Vec<_>>(), before.iter().map(Vec::len).collect::<Vec<_>>());
        assert_eq!(after, before);
    })
    .unwrap();
    before
}

#[test]
fn empty_part_and_full_pipes_come_back() {
    assert_eq!(same_reads(pipe(), b""), [] as [Vec<u8>; 0]);
    assert_eq!(same_reads(pipe(), b"x").len(), 1);
    for size in [4096, 65536, 1 << 20] {
        for fill in [1, size / 2, size - 1, size] {
            let (r, w) = pipe();
            fcntl(&w, FcntlArg::F_SETPIPE_SZ(size)).unwrap();
            let bytes: Vec<u8> = (0..fill).map(|i| (i % 251) as u8).collect();
            assert_eq!(write(&w, &bytes), Ok(fill as usize));
            let reads = same_reads((r, w), b"more");
            assert_eq!(reads[0][..fill as usize], bytes);
        }
    }
}

#[test]
fn every_packet_keeps_its_boundaries() {
    for (slots, len) in [(16, 1), (16, 2), (256, 3), (5, 4096), (256, 4096), (1, 1), (1, 700)] {
        let (r, w) = pipe();
        if slots > 16 {
            fcntl(&w, FcntlArg::F_SETPIPE_SZ(slots * 4096)).unwrap();
        }
        set_packets(&w, true);
        for i in 0..slots {
            assert_eq!(write(&w, &vec![i as u8; len]), Ok(len));
        }
        let reads = same_reads((r, w), b"");
        assert_eq!(reads.len(), slots as usize);
        assert!(reads.iter().all(|packet| packet.len() == len));
    }
}

#[test]
fn packets_between_a_stream_keep_their_boundaries() {
    let plans: [&[(usize, bool)]; 6] = [
        &[(5, false), (3, true), (2, false)],
        &[(5, true), (3, false)],
        &[(1, false), (1, true)],
        &[(1, true), (1, false), (1, true), (4096, true), (9000, false)],
        &[(6000, false), (1, true)],
        &[(3, true), (4, true), (5, false), (6, false), (7, true)],
    ];
    for plan in plans {
        // The kernel adds a packet to what a stream left in its last page, but not to what came by tee.
        for closed in [false, true] {
            let (r, w) = pipe();
            for (i, (len, packet)) in plan.iter().enumerate() {
                set_packets(&w, *packet);
                let bytes = vec![i as u8; *len];
                match closed && !packet {
                    true => super::put::write_closed(w.as_fd(), &bytes).unwrap(),
                    false => assert_eq!(write(&w, &bytes), Ok(*len)),
                }
            }
            set_packets(&w, false);
            let reads = same_reads((r, w), b"end");
            let packets = plan.iter().filter(|(_, packet)| *packet).count();
            assert!(!closed || reads.len() > packets, "{plan:?}: {reads:?}");
        }
    }
}

#[test]
fn a_pipe_keeps_its_owner_and_mode() {
    let (r, w) = pipe();
    nix::unistd::fchown(&w, Some(1234.into()), Some(4321.into())).unwrap();
    nix::sys::stat::fchmod(&w, nix::sys::stat::Mode::from_bits_truncate(0o640)).unwrap();
    let dumped = dump_ends(vec![r, w]);
    restore(&dumped, &RestoreOptions::default(), |_, ends| {
        for end in ends {
            assert_eq!((end.stat.st_uid, end.stat.st_gid, end.stat.st_mode & 0o777), (1234, 4321, 0o640));
        }
    })
    .unwrap();
}

#[test]
fn a_short_read_of_a_packet_loses_its_rest() {
    let (r, w) = pipe();
    set_packets(&w, true);
    write(&w, b"packet").unwrap();
    write(&w, b"next").unwrap();
    let dumped = dump_ends(vec![r, w]);
    restore(&dumped, &RestoreOptions::default(), |_, ends| {
        let mut two = [0; 2];
        assert_eq!(read(&ends[0].copy, &mut two), Ok(2));
        assert_eq!(&two, b"pa");
        assert_eq!(reads(&ends[0].copy), [b"next"]);
    })
    .unwrap();
}

#[test]
fn flags_and_ends_come_back() {
    let (r, w) = pipe2(OFlag::O_CLOEXEC).unwrap();
    let nonblocking = super::reopen(w.as_fd(), libc::O_WRONLY | libc::O_NONBLOCK).unwrap();
    let both = super::reopen(w.as_fd(), libc::O_RDWR).unwrap();
    set_packets(&w, true);
    sys::file::set_flags(r.as_fd(), libc::O_ASYNC).unwrap();
    let ends: Vec<_> = [r, w, nonblocking, both].into_iter().map(descriptor).collect();
    let before: Vec<_> = ends.iter().map(|d| d.info.flags).collect();
    let dumped = dump(&options(false), &ends).unwrap();
    drop(ends);
    restore(&dumped, &RestoreOptions::default(), |_, ends| {
        // O_ASYNC is the task's to set.
        let kind = &crate::kind::pipe::Pipe;
        let calls: Vec<_> = dumped
            .entries
            .iter()
            .flat_map(|entry| crate::kind::Kind::attach(kind, entry, 0, &Default::default()))
            .collect();
        assert_eq!(calls.len(), 1);
        let args = [ends[0].fd as u64, calls[0].args[1], calls[0].args[2]];
        sys::file::run_for_test(calls[0].nr, args, None).unwrap();
        let now: Vec<_> = ends.iter().map(|d| descriptor(d.copy.try_clone().unwrap()).info.flags).collect();
        assert_eq!(now, before);
        assert!(ends.iter().all(|d| d.stat.st_ino == ends[0].stat.st_ino));
    })
    .unwrap();
}

#[test]
fn an_end_that_was_closed_stays_closed() {
    let (r, w) = pipe2(OFlag::O_CLOEXEC).unwrap();
    write(&w, b"last words").unwrap();
    drop(w);
    let dumped = dump_ends(vec![r]);
    restore(&dumped, &RestoreOptions::default(), |cx, ends| {
        cx.close();
        let mut buffer = [0; 32];
        assert_eq!(read(&ends[0].copy, &mut buffer), Ok(10));
        assert_eq!(read(&ends[0].copy, &mut buffer), Ok(0), "the end of the file");
    })
    .unwrap();
    let (r, w) = pipe2(OFlag::O_CLOEXEC).unwrap();
    drop(r);
    let dumped = dump_ends(vec![w]);
    restore(&dumped, &RestoreOptions::default(), |cx, ends| {
        cx.close();
        assert_eq!(write(&ends[0].copy, b"x"), Err(Errno::EPIPE));
    })
    .unwrap();
}

#[test]
fn wrong_packets_are_errors() {
    let (r, w) = pipe();
    set_packets(&w, true);
    write(&w, b"packet").unwrap();
    let mut dumped = dump_ends(vec![r, w]);
    let images = |len: u32| {
        let mut packets = dumped.images.read_all(crate::image::kinds::STASIS_PIPE.single()).unwrap();
        packets[0].stretches[0].len = len;
        let data = dumped.images.read_all_with(crate::image::kinds::PIPES_DATA.single(), |r| r.bytes.into()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let out = crate::image::NewImageDir::create(dir.path(), false).unwrap();
        out.write_all(crate::image::kinds::STASIS_PIPE.single(), &packets).unwrap();
        let mut writer = out.writer(crate::image::kinds::PIPES_DATA.single());
        writer.entry(&data[0].0).unwrap();
        writer.payload(&data[0].1).unwrap();
        writer.finish().unwrap();
        out.seal(&crate::image::ManifestHead { page_size: 4096, ..Default::default() }).unwrap();
        (crate::image::ImageDir::open(dir.path()).unwrap(), dir)
    };
    let changed = [0, 5, 7, u32::MAX].map(images);
    for (images, _dir) in changed {
        dumped.images = images;
        assert!(restore(&dumped, &RestoreOptions::default(), |_, _| ()).is_err());
    }
}
