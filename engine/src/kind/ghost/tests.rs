//! Deleted files through images and back, in a directory of the test's own.

use super::super::tests::{Dumped, descriptor, dump, restore};
use super::super::{Descriptor, RestoreContext};
use crate::error::Error;
use crate::options::{DumpOptions, RestoreOptions};
use crate::sys::{self, Pid};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, UtimensatFlags, fstat, mknod, utimensat};
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

fn opened(path: &Path, flags: i32) -> OwnedFd {
    open(path, OFlag::from_bits_retain(flags | libc::O_CLOEXEC), Mode::from_bits_truncate(0o640)).unwrap()
}

/// Dumps descriptors, closes them, restores them: what they show before and after.
fn round(
    options: &DumpOptions,
    files: Vec<OwnedFd>,
    check: impl FnOnce(&mut RestoreContext<'_>, &[Descriptor]),
) -> Dumped {
    let before: Vec<Descriptor> = files.into_iter().map(descriptor).collect();
    let dumped = dump(options, &before).unwrap();
    let what: Vec<_> = before.iter().map(|d| (d.link.clone(), d.info.flags, d.stat.st_mode, d.stat.st_uid)).collect();
    drop(before);
    restore(&dumped, &RestoreOptions::default(), |cx, after| {
        for (after, before) in after.iter().zip(&what) {
            let is = (after.link.clone(), after.info.flags, after.stat.st_mode, after.stat.st_uid);
            assert_eq!(is, *before, "{}", after.describe());
        }
        check(cx, after);
    })
    .unwrap();
    dumped
}

fn options() -> DumpOptions {
    DumpOptions::new(Pid::this())
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_deleted_file_comes_back_with_all_that_it_had() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a\n\u{fc}");
    let first = opened(&path, libc::O_CREAT | libc::O_RDWR | libc::O_APPEND | libc::O_NOFOLLOW);
    nix::unistd::write(&first, b"contents").unwrap();
    let second = opened(&path, libc::O_RDONLY);
    nix::unistd::lseek(&second, 3, nix::unistd::Whence::SeekSet).unwrap();
    let third = opened(&path, libc::O_PATH);
    sys::file::set_xattr(first.as_fd(), b"user.colour", b"blue\0").unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o4751)).unwrap();
    let time = |sec, nsec| nix::sys::time::TimeSpec::new(sec, nsec);
    utimensat(
        nix::fcntl::AT_FDCWD,
        &path,
        &time(1_000_000, 5),
        &time(2_000_000, 999_999_999),
        UtimensatFlags::FollowSymlink,
    )
    .unwrap();
    fs::remove_file(&path).unwrap();
    round(&options(), vec![first, second, third], |_, after| {
        let file = File::from(after[0].copy.try_clone().unwrap());
        let meta = file.metadata().unwrap();
        assert_eq!((meta.atime(), meta.atime_nsec()), (1_000_000, 5));
        assert_eq!((meta.mtime(), meta.mtime_nsec()), (2_000_000, 999_999_999));
        assert_eq!((meta.nlink(), meta.len()), (0, 8));
        assert_eq!((after[0].info.pos, after[1].info.pos), (8, 3));
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"contents");
        assert_eq!(sys::file::xattrs(after[0].copy.as_fd()).unwrap(), [(b"user.colour".to_vec(), b"blue\0".to_vec())]);
        let inode = |d: &Descriptor| (d.stat.st_dev, d.stat.st_ino);
        assert!(inode(&after[0]) == inode(&after[1]) && inode(&after[1]) == inode(&after[2]), "they are one file");
    });
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn holes_stay_holes() {
    // The build directory is on a disk's file system, /dev/shm on tmpfs.
    for base in [env!("CARGO_MANIFEST_DIR"), "/dev/shm"] {
        for fiemap in [false, true] {
            let dir = tempfile::tempdir_in(base).unwrap();
            let path = dir.path().join("sparse");
            let file = File::from(opened(&path, libc::O_CREAT | libc::O_RDWR));
            file.set_len(1 << 40).unwrap();
            file.write_all_at(b"in the middle", (1 << 30) + 5).unwrap();
            file.write_all_at(b"further", 1 << 35).unwrap();
            file.sync_all().unwrap();
            let blocks = file.metadata().unwrap().blocks();
            fs::remove_file(&path).unwrap();
            let options = DumpOptions { ghost_fiemap: fiemap, ..options() };
            round(&options, vec![file.into()], |_, after| {
                let file = File::from(after[0].copy.try_clone().unwrap());
                let meta = file.metadata().unwrap();
                assert_eq!((meta.len(), meta.blocks()), (1 << 40, blocks), "{base}, fiemap {fiemap}");
                let mut bytes = [0; 13];
                file.read_exact_at(&mut bytes, (1 << 30) + 5).unwrap();
                assert_eq!(&bytes, b"in the middle");
                file.read_exact_at(&mut bytes[..7], 1 << 35).unwrap();
                assert_eq!(&bytes[..7], b"further");
            });
        }
    }
}

#[test]
fn a_large_file_needs_a_limit_that_lets_it_through() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large");
    fs::write(&path, vec![7; 3 << 20]).unwrap();
    let file = opened(&path, libc::O_RDONLY);
    fs::remove_file(&path).unwrap();
    let held = [descriptor(file)];
    let Err(error) = dump(&options(), &held) else { panic!("it is too large") };
    assert!(matches!(error, Error::Unsupported { .. }));
    assert!(error.to_string().contains("/large (deleted)") && error.to_string().contains("3145728"), "{error}");
    assert!(error.help().unwrap().contains("--ghost-limit 3145728"));
    let options = DumpOptions { ghost_limit: crate::options::ByteSize::new(3 << 20), ..options() };
    assert!(dump(&options, &held).is_ok());
}

#[test]
fn every_type_of_file_can_be_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut files = Vec::new();
    fs::create_dir(at("dir")).unwrap();
    fs::create_dir(at("dir/inner")).unwrap();
    fs::write(at("dir/inner/file"), b"x").unwrap();
    files.push(opened(&at("dir/inner/file"), libc::O_RDONLY));
    files.push(opened(&at("dir/inner"), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW));
    files.push(opened(&at("dir"), libc::O_PATH));
    symlink("nowhere\n", at("link")).unwrap();
    files.push(opened(&at("link"), libc::O_PATH | libc::O_NOFOLLOW));
    for (name, kind, dev) in [
        ("fifo", nix::sys::stat::SFlag::S_IFIFO, 0),
        ("socket", nix::sys::stat::SFlag::S_IFSOCK, 0),
        ("null", nix::sys::stat::SFlag::S_IFCHR, nix::sys::stat::makedev(1, 3)),
    ] {
        mknod(&at(name), kind, Mode::from_bits_truncate(0o604), dev).unwrap();
        files.push(opened(&at(name), if name == "null" { libc::O_WRONLY } else { libc::O_PATH }));
    }
    for name in ["dir/inner/file", "link", "fifo", "socket", "null"] {
        fs::remove_file(at(name)).unwrap();
    }
    fs::remove_dir(at("dir/inner")).unwrap();
    fs::remove_dir(at("dir")).unwrap();
    round(&options(), files, |_, after| {
        let up = nix::fcntl::openat(&after[1].copy, "..", OFlag::O_PATH, Mode::empty()).unwrap();
        assert_eq!(fstat(&up).unwrap().st_ino, after[2].stat.st_ino, "a deleted directory in another one");
        assert_eq!(nix::fcntl::readlinkat(&after[3].copy, "").unwrap(), "nowhere\n");
        assert_eq!(after[6].stat.st_rdev, nix::sys::stat::makedev(1, 3));
    });
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn a_missing_directory_is_made_for_the_moment() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("a/b")).unwrap();
    let path = dir.path().join("a/b/file");
    fs::write(&path, b"x").unwrap();
    let file = opened(&path, libc::O_RDWR);
    fs::remove_dir_all(dir.path().join("a")).unwrap();
    round(&options(), vec![file], |_, _| {});
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn a_file_without_a_name_can_still_be_given_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = opened(dir.path(), libc::O_TMPFILE | libc::O_RDWR);
    nix::unistd::write(&file, b"draft").unwrap();
    let again = sys::file::path_of(file.as_fd());
    let again = open(again.as_c_str(), OFlag::O_CLOEXEC, Mode::empty()).unwrap();
    let before = [descriptor(file), descriptor(again)];
    let flags: Vec<_> = before.iter().map(|d| d.info.flags).collect();
    let dumped = dump(&options(), &before).unwrap();
    drop(before);
    restore(&dumped, &RestoreOptions::default(), |_, after| {
        assert_eq!(after.iter().map(|d| d.info.flags).collect::<Vec<_>>(), flags);
        assert_eq!(after[0].stat.st_ino, after[1].stat.st_ino);
        assert_eq!(after[0].info.pos, 5);
        let dir = File::open(dir.path()).unwrap();
        super::links::link(after[0].copy.as_fd(), dir.as_fd(), b"published").unwrap();
    })
    .unwrap();
    assert_eq!(fs::read(dir.path().join("published")).unwrap(), b"draft");
}

#[test]
fn a_name_that_is_taken_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut files = Vec::new();
    for text in ["first", "second"] {
        fs::write(&path, text).unwrap();
        files.push(descriptor(opened(&path, libc::O_RDONLY)));
        fs::remove_file(&path).unwrap();
    }
    // Both have the same name, which is free: both get it back.
    let files: Vec<_> = files.into_iter().map(|d| descriptor(d.copy)).collect();
    let dumped = dump(&options(), &files).unwrap();
    let link = files[0].link.clone();
    drop(files);
    restore(&dumped, &RestoreOptions::default(), |_, after| {
        assert!(after.iter().all(|d| d.link == link));
        assert_ne!(after[0].stat.st_ino, after[1].stat.st_ino);
    })
    .unwrap();
    fs::write(&path, "the user's").unwrap();
    restore(&dumped, &RestoreOptions::default(), |_, after| {
        let text: Vec<_> =
            after.iter().map(|d| fs::read(format!("/proc/self/fd/{}", d.copy.as_raw_fd())).unwrap()).collect();
        assert_eq!(text, [b"first".to_vec(), b"second".to_vec()]);
        assert!(after.iter().all(|d| d.link.ends_with(b"/stasis_ghost.1 (deleted)")));
    })
    .unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"the user's");
    assert_eq!(names(dir.path()), ["log"]);
}

#[test]
fn a_file_may_really_be_called_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x (deleted)");
    fs::write(&path, b"alive").unwrap();
    let dumped = round(&options(), vec![opened(&path, libc::O_RDONLY)], |_, _| {});
    assert!(!dumped.images.files().unwrap().iter().any(|name| name.starts_with("ghost")));
    let file = opened(&path, libc::O_RDONLY);
    fs::remove_file(&path).unwrap();
    let dumped = round(&options(), vec![file], |_, after| {
        assert!(after[0].link.ends_with(b"x (deleted) (deleted)"));
    });
    assert!(dumped.images.files().unwrap().contains(&"ghost-file-1.img".to_owned()));
}

#[test]
fn a_file_with_another_name_needs_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let (path, other) = (dir.path().join("name"), dir.path().join("other"));
    fs::write(&path, b"shared").unwrap();
    let files = vec![opened(&path, libc::O_RDONLY), opened(&path, libc::O_RDWR)];
    fs::hard_link(&path, &other).unwrap();
    fs::remove_file(&path).unwrap();
    let inode = fs::metadata(&other).unwrap().ino();
    let files: Vec<_> = files.into_iter().map(descriptor).collect();
    let Err(error) = dump(&options(), &files) else { panic!("it has another name") };
    assert!(error.help().unwrap().contains("--link-remap"), "{error}");
    assert_eq!(names(dir.path()), ["other"]);

    let options = DumpOptions { link_remap: true, ..options() };
    let dumped = dump(&options, &files).unwrap();
    assert_eq!(names(dir.path()).len(), 2);
    let text = format!("{} (deleted)", path.display()).into_bytes();
    let Dumped { links, entries, ids, images, dir: images_dir } = dumped;
    drop(links);
    assert_eq!(names(dir.path()), ["other"], "dropped, the name goes");
    let dumped = Dumped { links: Default::default(), entries, ids, images, dir: images_dir };
    restore(&dumped, &RestoreOptions::default(), |_, after| {
        assert!(after.iter().all(|d| d.link == text && d.stat.st_ino == inode), "found by its handle");
    })
    .unwrap();
    assert_eq!(names(dir.path()), ["other"]);

    let Dumped { links, entries, ids, images, dir: images_dir } = dump(&options, &files).unwrap();
    links.keep();
    drop(files);
    let dumped = Dumped { links: Default::default(), entries, ids, images, dir: images_dir };
    restore(&dumped, &RestoreOptions::default(), |_, after| {
        assert!(after.iter().all(|d| d.link == text && d.stat.st_ino == inode));
    })
    .unwrap();
    assert_eq!(names(dir.path()).len(), 2, "a restore that was not committed can be tried again");
    restore(&dumped, &RestoreOptions::default(), |cx, after| {
        assert!(after.iter().all(|d| d.link == text && d.stat.st_ino == inode));
        cx.ghosts.commit().unwrap();
    })
    .unwrap();
    assert_eq!(names(dir.path()), ["other"]);
}

#[test]
fn hostile_images_touch_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("real")).unwrap();
    symlink("real", dir.path().join("link")).unwrap();
    let path = dir.path().join("real/file");
    fs::write(&path, b"x").unwrap();
    let file = opened(&path, libc::O_RDONLY);
    fs::remove_file(&path).unwrap();
    let mut dumped = dump(&options(), &[descriptor(file)]).unwrap();
    let base = dir.path().display();
    for name in
        [format!("{base}/real/.."), format!("{base}/real/"), "/".into(), String::new(), format!("{base}/real/../x/y")]
    {
        dumped.entries[0].reg.as_mut().unwrap().name = name.clone().into_bytes();
        assert!(restore(&dumped, &RestoreOptions::default(), |_, _| ()).is_err(), "{name}");
        assert_eq!(names(dir.path()), ["link", "real"]);
    }
    // Through a symbolic link nothing is made: the file is made beside it under another name.
    dumped.entries[0].reg.as_mut().unwrap().name = format!("{base}/link/file").into_bytes();
    restore(&dumped, &RestoreOptions::default(), |_, after| {
        assert!(after[0].link.ends_with(b"/stasis_ghost.1 (deleted)"), "{}", after[0].describe());
    })
    .unwrap();
    assert_eq!(names(&dir.path().join("real")), [""; 0]);
    assert_eq!(names(dir.path()), ["link", "real"]);
}
