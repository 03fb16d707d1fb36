//! Directories as a whole: written, sealed, damaged in every way, read again.

use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, symlink};
use std::path::Path;

use tempfile::{TempDir, tempdir};

use super::kinds::*;
use super::proto::*;
use super::*;

fn head() -> ManifestHead {
    ManifestHead {
        run_id: "c5f58ac8-1392-4246-9f43-e94ee86afe48".into(),
        page_size: 4096,
        arch: "x86_64".into(),
        kernel: "6.18.0".into(),
    }
}

fn begin(path: &Path) -> NewImageDir {
    let dir = NewImageDir::create(path, false).unwrap();
    dir.write_one(INVENTORY.single(), &InventoryEntry { img_version: 2, ..Default::default() }).unwrap();
    dir.write_one(FS.of(7u32), &FsEntry { cwd_id: 1, root_id: 2, umask: Some(0o22) }).unwrap();
    dir
}

/// A complete directory with 3 pages in two pieces, written in the wrong order.
fn sealed() -> TempDir {
    let temp = tempdir().unwrap();
    let dir = begin(temp.path());
    let mut pipes = dir.writer(PIPES_DATA.single());
    pipes.entry(&PipeDataEntry { pipe_id: 1, bytes: 6, size: None }).unwrap();
    pipes.payload(b"stasis").unwrap();
    pipes.finish().unwrap();
    let pages = dir.create_raw(PAGES.of(1u32)).unwrap();
    let sums = ChunkSums::new();
    for (offset, bytes) in [(8192, vec![3; 4096]), (0, vec![1; 8192])] {
        pages.write_all_at(&bytes, offset).unwrap();
        sums.add(offset, &bytes);
    }
    dir.finish_raw(PAGES.of(1u32), 12288, sums.finish(12288).unwrap());
    dir.seal(&head()).unwrap();
    temp
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_was_written_is_read() {
    let temp = sealed();
    let dir = ImageDir::open(temp.path()).unwrap();
    assert!(dir.verify(Verify::All).unwrap());
    assert_eq!(dir.manifest().unwrap().head(), head());
    assert_eq!(dir.files().unwrap(), ["fs-7.img", "inventory.img", "pages-1.img", "pipes-data.img"]);
    assert_eq!(dir.read_one(FS.of(7u32)).unwrap().root_id, 2);
    let pipes = dir.read_all_with(PIPES_DATA.single(), |pipe| pipe.bytes.into()).unwrap();
    assert_eq!(pipes, [(PipeDataEntry { pipe_id: 1, bytes: 6, size: None }, b"stasis".to_vec())]);
    assert_eq!(dir.read_optional(FS.of(8u32)).unwrap(), None);
    assert!(matches!(dir.read_one(FS.of(8u32)), Err(ImageError::Missing { .. })));
    assert_eq!(fs::metadata(temp.path().join("pages-1.img")).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_synced_dump_is_the_same() {
    let temp = tempdir().unwrap();
    let dir = NewImageDir::create(temp.path(), true).unwrap();
    dir.write_all(FS.of(7u32), &[FsEntry::default()]).unwrap();
    dir.seal(&head()).unwrap();
    assert_eq!(names(temp.path()), ["fs-7.img", "stasis-manifest.img"]);
    assert!(ImageDir::open(temp.path()).unwrap().verify(Verify::All).unwrap());
}

#[test]
fn every_flipped_byte_is_noticed() {
    let temp = sealed();
    for name in names(temp.path()) {
        let path = temp.path().join(&name);
        let whole = fs::read(&path).unwrap();
        let step = if whole.len() > 1000 { 997 } else { 1 };
        for at in (0..whole.len()).step_by(step) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&path, &flipped).unwrap();
            let verified = ImageDir::open(temp.path()).and_then(|dir| dir.verify(Verify::All));
            assert!(verified.is_err(), "{name}: byte {at} flipped and not noticed");
        }
        fs::write(&path, &whole).unwrap();
    }
    assert!(ImageDir::open(temp.path()).unwrap().verify(Verify::All).unwrap());
}

#[test]
fn sizes_and_absence_are_noticed_without_reading_pages() {
    let temp = sealed();
    let verify = || ImageDir::open(temp.path()).and_then(|dir| dir.verify(Verify::Small));
    let pages = fs::OpenOptions::new().write(true).open(temp.path().join("pages-1.img")).unwrap();
    pages.write_all_at(b"x", 5000).unwrap();
    assert!(verify().unwrap(), "pages are not read");
    pages.set_len(12289).unwrap();
    let error = verify().unwrap_err();
    assert!(matches!(error, ImageError::Size { expected: 12288, found: 12289, .. }), "{error}");
    pages.set_len(12288).unwrap();
    fs::remove_file(temp.path().join("fs-7.img")).unwrap();
    assert!(verify().unwrap_err().to_string().ends_with("fs-7.img is not part of the image"));
}

#[test]
fn pages_read_elsewhere_are_compared() {
    let temp = sealed();
    let dir = ImageDir::open(temp.path()).unwrap();
    let (file, size) = dir.raw(PAGES.of(1u32)).unwrap();
    let mut bytes = vec![0; size as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let sum = |bytes: &[u8]| {
        let sums = ChunkSums::new();
        bytes.chunks(5000).enumerate().rev().for_each(|(n, chunk)| sums.add(5000 * n as u64, chunk));
        dir.verify_sum(PAGES.of(1u32), sums)
    };
    sum(&bytes).unwrap();
    bytes[12287] ^= 1;
    assert!(matches!(sum(&bytes), Err(ImageError::Checksum { .. })));
    assert!(matches!(sum(&bytes[..12287]), Err(ImageError::Unfinished { .. })));
}

#[test]
fn large_files_are_summed_in_parts() {
    let temp = tempdir().unwrap();
    let dir = begin(temp.path());
    let mut ghost = dir.writer(GHOST_FILE.of(1u32));
    ghost.entry(&GhostFileEntry { size: Some(20 << 20), ..Default::default() }).unwrap();
    let line: Vec<u8> = (0..1 << 16).map(|n| ((n * 7) >> 3) as u8).collect();
    for _ in 0..320 {
        std::io::Write::write_all(&mut ghost, &line).unwrap();
    }
    ghost.finish().unwrap();
    dir.seal(&head()).unwrap();
    let verify = || ImageDir::open(temp.path()).unwrap().verify(Verify::Small);
    assert!(verify().unwrap());
    let file = fs::OpenOptions::new().write(true).open(temp.path().join("ghost-file-1.img")).unwrap();
    file.write_all_at(b"!", 17 << 20).unwrap();
    assert!(matches!(verify(), Err(ImageError::Checksum { .. })));
}

#[test]
fn a_failed_dump_leaves_nothing() {
    let temp = tempdir().unwrap();
    let dir = begin(temp.path());
    let _cut_short = dir.create_raw(PAGES.of(1u32)).unwrap();
    assert!(names(temp.path()).contains(&"pages-1.img".to_owned()));
    drop(dir);
    assert_eq!(names(temp.path()), [""; 0]);
}

#[test]
fn unfinished_files_cannot_be_sealed() {
    let temp = tempdir().unwrap();
    let dir = begin(temp.path());
    let mut writer = dir.writer(FS.of(9u32));
    writer.entry(&FsEntry::default()).unwrap();
    drop(writer);
    assert!(matches!(dir.seal(&head()), Err(ImageError::Unfinished { .. })));
    assert_eq!(names(temp.path()), [""; 0]);
}

#[test]
fn a_complete_dump_can_be_changed_before_it_is_kept() {
    let temp = tempdir().unwrap();
    let mut dir = begin(temp.path());
    dir.complete(&head()).unwrap();
    let fs = dir.read_one(FS.of(7u32)).unwrap();
    dir.withdraw().unwrap();
    assert!(matches!(ImageDir::open(temp.path()), Err(ImageError::Incomplete { .. })));
    dir.write_one(FS.of(7u32), &FsEntry { umask: None, ..fs }).unwrap();
    dir.complete(&head()).unwrap();
    dir.keep();
    let dir = ImageDir::open(temp.path()).unwrap();
    assert!(dir.verify(Verify::All).unwrap());
    assert_eq!(dir.read_one(FS.of(7u32)).unwrap(), FsEntry { cwd_id: 1, root_id: 2, umask: None });
}

#[test]
fn a_complete_dump_that_is_not_kept_is_taken_away() {
    let temp = tempdir().unwrap();
    begin(temp.path()).complete(&head()).unwrap();
    assert_eq!(names(temp.path()), [""; 0]);
}

#[test]
fn a_killed_dump_is_recognised() {
    let temp = tempdir().unwrap();
    std::mem::forget(begin(temp.path()));
    let error = ImageDir::open(temp.path()).unwrap_err();
    assert!(error.to_string().ends_with("holds an incomplete dump: the dump was interrupted"), "{error}");
    fs::remove_file(temp.path().join(manifest::UNFINISHED)).unwrap();
    assert!(!ImageDir::open(temp.path()).unwrap().verify(Verify::All).unwrap(), "could be another engine's");
    fs::write(temp.path().join("stasis-task.img"), b"").unwrap();
    assert!(matches!(ImageDir::open(temp.path()), Err(ImageError::Incomplete { .. })));
}

#[test]
fn files_of_an_earlier_dump_are_not_part_of_a_later_one() {
    let temp = sealed();
    let dir = begin(temp.path());
    assert!(!names(temp.path()).contains(&manifest::NAME.to_owned()));
    dir.seal(&head()).unwrap();
    assert!(names(temp.path()).contains(&"pipes-data.img".to_owned()));
    let dir = ImageDir::open(temp.path()).unwrap();
    assert_eq!(dir.files().unwrap(), ["fs-7.img", "inventory.img"]);
    assert!(dir.read_all(PIPES_DATA.single()).unwrap().is_empty());
    assert!(matches!(dir.raw(PAGES.of(1u32)), Err(ImageError::Missing { .. })));
}

#[test]
fn a_failed_dump_over_an_earlier_one_is_recognised() {
    let temp = sealed();
    drop(begin(temp.path()));
    assert!(matches!(ImageDir::open(temp.path()), Err(ImageError::Incomplete { .. })));
}

#[test]
fn only_regular_files_are_read_and_none_is_written_through() {
    let temp = tempdir().unwrap();
    let victim = temp.path().join("victim");
    fs::write(&victim, b"untouched").unwrap();
    symlink(&victim, temp.path().join("fs-7.img")).unwrap();
    fs::hard_link(&victim, temp.path().join("inventory.img")).unwrap();
    let dir = ImageDir::open(temp.path()).unwrap();
    let error = dir.read_one(FS.of(7u32)).unwrap_err();
    assert!(error.help().unwrap().contains("symbolic links"), "{error}");
    nix::unistd::mkfifo(&temp.path().join("fs-8.img"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(dir.read_one(FS.of(8u32)).unwrap_err().to_string().ends_with("not a regular file"));
    assert!(show_file(&temp.path().join("fs-8.img")).is_err());
    begin(temp.path()).seal(&head()).unwrap();
    assert_eq!(fs::read(victim).unwrap(), b"untouched");
    assert!(ImageDir::open(temp.path()).unwrap().verify(Verify::All).unwrap());
}

#[test]
fn other_versions_are_refused() {
    let temp = tempdir().unwrap();
    let dir = NewImageDir::create(temp.path(), false).unwrap();
    dir.write_one(INVENTORY.single(), &InventoryEntry { img_version: 1, ..Default::default() }).unwrap();
    dir.seal(&head()).unwrap();
    let error = ImageDir::open(temp.path()).unwrap().inventory().unwrap_err();
    assert!(error.to_string().ends_with("inventory.img is of version 1, this engine reads version 2"), "{error}");
}

#[test]
fn one_entry_means_one() {
    let temp = tempdir().unwrap();
    let dir = begin(temp.path());
    dir.write_all(FS.of(8u32), &[FsEntry::default(), FsEntry::default()]).unwrap();
    dir.write_all(FS.of(9u32), &[]).unwrap();
    dir.seal(&head()).unwrap();
    let dir = ImageDir::open(temp.path()).unwrap();
    assert!(dir.read_one(FS.of(8u32)).unwrap_err().to_string().contains("one entry is all"));
    assert!(dir.read_one(FS.of(9u32)).unwrap_err().to_string().contains("an entry is missing"));
}

#[test]
fn errors_of_the_system_name_the_file() {
    let temp = tempdir().unwrap();
    let path = temp.path().join("gone");
    fs::create_dir(&path).unwrap();
    let dir = begin(&path);
    fs::remove_dir_all(&path).unwrap();
    let error = dir.write_one(FS.of(8u32), &FsEntry::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("failed to create {}", path.join("fs-8.img").display()));
    assert!(ImageDir::open(&path).unwrap_err().to_string().starts_with("failed to open"));
}

#[test]
fn a_changed_image_can_be_sealed_again() {
    let temp = sealed();
    let path = temp.path().join("fs-7.img");
    let mut json = show_file(&path).unwrap();
    json["entries"][0]["umask"] = 0o77.into();
    edit::write_file(&path, &json).unwrap();
    assert!(ImageDir::open(temp.path()).unwrap().verify(Verify::All).is_err());
    out::reseal(temp.path()).unwrap();
    let dir = ImageDir::open(temp.path()).unwrap();
    assert!(dir.verify(Verify::All).unwrap());
    assert_eq!(dir.read_one(FS.of(7u32)).unwrap().umask, Some(0o77));
    assert_eq!(dir.manifest().unwrap().head(), head());
}
