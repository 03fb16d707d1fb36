//! Files by name through images and back, in a directory of the test's own.

use super::*;
use crate::error::Error;
use crate::kind::tests::{Dumped, descriptor, dump, options, restore};
use crate::options::{DumpOptions, RestoreOptions};
use nix::sys::stat::Mode;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn opened(path: &Path, flags: i32) -> OwnedFd {
    let flags = OFlag::from_bits_retain(flags | libc::O_CLOEXEC);
    nix::fcntl::open(path, flags, Mode::from_bits_truncate(0o644)).unwrap()
}

fn restore_error(dumped: &Dumped, options: &RestoreOptions) -> Error {
    restore(dumped, options, |_, _| ()).expect_err("it is not the file that was dumped")
}

#[test]
fn paths_positions_and_flags_come_back_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a\n\u{fc} (deleted)");
    fs::write(&path, vec![b'x'; 10_000]).unwrap();
    std::os::unix::fs::symlink("/nowhere", dir.path().join("link")).unwrap();
    let bits = [
        libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NOATIME,
        libc::O_WRONLY | libc::O_APPEND | libc::O_DSYNC,
        libc::O_RDWR | libc::O_SYNC | libc::O_NONBLOCK,
        libc::O_RDWR | libc::O_DIRECT,
        libc::O_PATH,
    ];
    let mut files: Vec<_> = bits.iter().map(|bits| opened(&path, *bits)).collect();
    files.push(opened(dir.path(), libc::O_DIRECTORY));
    files.push(opened(dir.path(), libc::O_PATH | libc::O_DIRECTORY));
    files.push(opened(&dir.path().join("link"), libc::O_PATH | libc::O_NOFOLLOW));
    files.push(opened(Path::new("/dev/null"), libc::O_RDWR));
    for (i, file) in files[..4].iter().enumerate() {
        nix::unistd::lseek(file, [512, 0, 1 << 40, 10_000][i], Whence::SeekSet).unwrap();
    }
    let files: Vec<_> = files.into_iter().map(descriptor).collect();
    let dumped = dump(&options(false), &files).unwrap();
    let shown = |d: &Descriptor| (d.link.clone(), d.info.flags, d.info.pos, d.stat.st_ino, d.stat.st_mode);
    let before: Vec<_> = files.iter().map(shown).collect();
    drop(files);
    restore(&dumped, &RestoreOptions::default(), |_, files| {
        assert_eq!(files.iter().map(shown).collect::<Vec<_>>(), before);
    })
    .unwrap();
}

#[test]
fn a_directory_is_read_on_where_reading_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let all: std::collections::BTreeSet<String> =
        (0..500).map(|i| format!("a rather long name of a file {i}")).collect();
    all.iter().for_each(|name| fs::write(dir.path().join(name), b"").unwrap());
    let names = |fd: &OwnedFd, bytes: usize| {
        let mut buffer = vec![0u8; bytes];
        let mut names = Vec::new();
        let n = sys::file::run_for_test(
            libc::SYS_getdents64,
            [fd.as_raw_fd() as u64, 0, bytes as u64],
            Some((1, &mut buffer)),
        )
        .unwrap() as usize;
        let mut at = 0;
        while at < n {
            let len = u16::from_ne_bytes([buffer[at + 16], buffer[at + 17]]) as usize;
            let name = buffer[at + 19..at + len].split(|byte| *byte == 0).next().unwrap();
            names.push(String::from_utf8(name.to_vec()).unwrap());
            at += len;
        }
        names
    };
    let file = opened(dir.path(), libc::O_DIRECTORY);
    let mut seen = names(&file, 4000);
    assert!(seen.len() > 10 && seen.len() < 400);
    let dumped = dump(&options(false), &[descriptor(file)]).unwrap();
    restore(&dumped, &RestoreOptions::default(), |_, files| {
        loop {
            match names(&files[0].copy, 1 << 16) {
                more if more.is_empty() => break,
                more => seen.extend(more),
            }
        }
    })
    .unwrap();
    seen.retain(|name| name != "." && name != "..");
    let count = seen.len();
    assert_eq!(seen.into_iter().collect::<std::collections::BTreeSet<_>>(), all);
    assert_eq!(count, all.len(), "none twice");
}

#[test]
fn a_file_that_changed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, b"1234").unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    let dumped = dump(&options(false), &[descriptor(opened(&path, libc::O_RDONLY))]).unwrap();
    let default = RestoreOptions::default();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let error = restore_error(&dumped, &default).to_string();
    assert!(error.contains("mode 100600") && error.contains("100640"), "{error}");
    let lenient = RestoreOptions { skip_file_rwx_check: true, ..RestoreOptions::default() };
    restore(&dumped, &lenient, |_, _| ()).unwrap();
    fs::write(&path, b"12345").unwrap();
    let error = restore_error(&dumped, &lenient).to_string();
    assert!(error.contains("size 5") && error.contains("had 4"), "{error}");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    restore_error(&dumped, &lenient);
    fs::remove_dir(&path).unwrap();
    let error = restore_error(&dumped, &default);
    assert!(error.to_string().contains("ENOENT") && error.help().is_some(), "{error}");
}

#[test]
fn another_build_of_a_program_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("program");
    let mut elf = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/criu-4.2/fixture")).unwrap();
    fs::write(&path, &elf).unwrap();
    let mut dumped = dump(&options(false), &[]).unwrap();
    for (validation, recorded) in [(FileValidation::BuildId, true), (FileValidation::FileSize, false)] {
        let options = DumpOptions { file_validation: validation, ..options(false) };
        let mut cx = DumpContext::new(&options);
        let entry = dump_path(&descriptor(opened(&path, libc::O_PATH)), 1, &mut cx).unwrap();
        assert_eq!(!entry.reg.as_ref().unwrap().build_id.is_empty(), recorded);
        let reg = RegFileEntry { flags: 0, ..entry.reg.clone().unwrap() };
        dumped.entries.push(FileEntry { reg: Some(reg), ..entry });
    }
    dumped.entries.truncate(1);
    dumped.ids.push(1);
    restore(&dumped, &RestoreOptions::default(), |_, _| ()).unwrap();
    let id = [0x76, 0xe6, 0xdd, 0x71];
    let at = elf.windows(4).position(|bytes| bytes == id).unwrap();
    elf[at] = 0x77;
    fs::write(&path, &elf).unwrap();
    let error = restore_error(&dumped, &RestoreOptions::default()).to_string();
    assert!(error.contains("build id 77e6dd71") && error.contains("76e6dd71"), "{error}");
    let size_only = RestoreOptions { file_validation: FileValidation::FileSize, ..RestoreOptions::default() };
    restore(&dumped, &size_only, |_, _| ()).unwrap();
}

#[test]
fn an_external_file_is_the_callers() {
    let dir = tempfile::tempdir().unwrap();
    let (path, other) = (dir.path().join("file"), dir.path().join("other"));
    fs::write(&path, b"left out").unwrap();
    fs::write(&other, b"the caller's").unwrap();
    let held = descriptor(opened(&path, libc::O_RDWR));
    let key = format!("file[{:x}:{:x}]", held.info.mnt_id, held.stat.st_ino);
    let mut options = options(false);
    options.common.external = vec![key.parse().unwrap()];
    let dumped = dump(&options, &[held]).unwrap();
    let reg = dumped.entries[0].reg.as_ref().unwrap();
    assert!(reg.ext() && reg.name == key.as_bytes() && reg.size.is_none());
    fs::remove_file(&path).unwrap();
    let error = restore_error(&dumped, &RestoreOptions::default());
    assert!(error.help().unwrap().contains(&key), "{error}");

    let given = File::open(&other).unwrap();
    let inherit = |key: &str| RestoreOptions {
        inherit_fds: vec![format!("fd[{}]:{key}", given.as_raw_fd()).parse().unwrap()],
        ..RestoreOptions::default()
    };
    let options = inherit(&key);
    let link = restore(&dumped, &options, |_, files| files[0].link.clone()).unwrap();
    assert_eq!(link, other.as_os_str().as_bytes());

    // By its path, without the first slash, any file can be given.
    let dumped = dump(&self::options(false), &[descriptor(opened(&other, libc::O_RDONLY))]).unwrap();
    fs::remove_file(&other).unwrap();
    restore(&dumped, &inherit(other.to_str().unwrap().trim_start_matches('/')), |_, _| ()).unwrap();
}

#[test]
fn a_device_whose_node_is_gone_is_found_by_another_if_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("zero");
    let zero = nix::sys::stat::makedev(1, 5);
    nix::sys::stat::mknod(&path, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), zero).unwrap();
    let held = [opened(&path, libc::O_RDONLY)];
    fs::remove_file(&path).unwrap();
    let held = held.map(descriptor);
    let mut options = options(false);
    options.common.evasive_devices = true;
    let dumped = dump(&options, &held).unwrap();
    assert_eq!(dumped.entries[0].reg.as_ref().unwrap().name, b"/dev/zero");
    let dumped = dump(&self::options(false), &held).unwrap();
    assert_eq!(dumped.entries[0].reg.as_ref().unwrap().name, path.as_os_str().as_bytes());
    restore(&dumped, &RestoreOptions::default(), |_, files| assert_eq!(files[0].stat.st_rdev, zero)).unwrap();
}
