//! Images made by CRIU 4.2: decoded they are what their `.json` says, encoded again they are the same bytes.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use stasis::image::kinds::{self, CORE, FILES, PAGEMAP, PAGEMAP_SHMEM, PIPES_DATA, PSTREE};
use stasis::image::{ImageDir, PageMap, Source, Verify, edit, show_dir, show_file};
use tempfile::tempdir;

const DUMPS: [&str; 2] = ["single", "tree"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/criu-4.2")
}

/// The files of a dump with what they hold; the raw ones are not in the `.json`.
fn expected(dump: &str) -> Vec<(PathBuf, Json)> {
    let text = fs::read_to_string(fixtures().join(format!("{dump}.json"))).expect("the fixture is there");
    let json: serde_json::Map<String, Json> = serde_json::from_str(&text).expect("the fixture is JSON");
    json.into_iter().map(|(name, value)| (fixtures().join(dump).join(name), value)).collect()
}

#[test]
fn every_file_is_shown_as_crit_does() {
    for dump in DUMPS {
        let expected = expected(dump);
        for (path, json) in &expected {
            assert_eq!(&show_file(path).unwrap(), json, "{}", path.display());
        }
        let framed = fs::read_dir(fixtures().join(dump)).unwrap().filter(|file| {
            let name = file.as_ref().unwrap().file_name().into_string().unwrap();
            kinds::by_file_name(&name).expect("every file is of a known kind").head != kinds::Head::Raw
        });
        assert_eq!(framed.count(), expected.len(), "{dump}");
    }
}

#[test]
fn json_becomes_the_same_bytes_again() {
    for (path, json) in DUMPS.iter().flat_map(|dump| expected(dump)) {
        let bytes = fs::read(&path).unwrap();
        assert_eq!(edit::encode(&json).unwrap(), bytes, "{} from its .json", path.display());
        assert_eq!(edit::encode(&show_file(&path).unwrap()).unwrap(), bytes, "{} from ours", path.display());
    }
}

#[test]
fn raw_files_are_described() {
    let json = show_file(&fixtures().join("tree/pages-2.img")).unwrap();
    assert_eq!(json, serde_json::json!({ "magic": "RAW", "kind": "PAGES", "size": 73728 }));
}

#[test]
fn a_directory_without_manifest_is_read() {
    let dir = ImageDir::open(&fixtures().join("tree")).unwrap();
    assert!(!dir.verify(Verify::All).unwrap());
    dir.inventory().unwrap();
    let tree = dir.read_all(PSTREE.single()).unwrap();
    assert_eq!(tree.iter().map(|task| task.pid).collect::<Vec<_>>(), [18677, 18679]);
    assert_eq!(tree[0].threads, [18677, 18680]);
    let core = dir.read_one(CORE.of(18680u32)).unwrap();
    assert_eq!(core.thread_core.unwrap().comm.as_deref(), Some(b"fixture".as_slice()));
    assert_eq!(dir.read_all(FILES.single()).unwrap()[0].reg.as_ref().unwrap().name, b"/tmp/stasis-fixtures/fixture");
    let pipes = dir.read_all_with(PIPES_DATA.single(), |pipe| pipe.bytes.into()).unwrap();
    assert_eq!(pipes[0].1, b"stasis");
}

#[test]
fn page_maps_cover_their_pages_files() {
    for dump in DUMPS {
        let dir = ImageDir::open(&fixtures().join(dump)).unwrap();
        let mut pages = 0;
        for name in dir.files().unwrap() {
            let task = PAGEMAP.kind().matches(&name).flatten().map(|id| PAGEMAP.of(id));
            let Some(name) = task.or(PAGEMAP_SHMEM.kind().matches(&name).flatten().map(|id| PAGEMAP_SHMEM.of(id)))
            else {
                continue;
            };
            let map = PageMap::read(&dir, name, 4096).unwrap().unwrap();
            let (_, size) = dir.raw(kinds::PAGES.of(map.pages_id)).unwrap();
            assert_eq!(map.saved, size, "{dump}: {name}");
            assert!(map.runs.iter().all(|run| matches!(run.source, Source::Saved { .. })));
            pages += 1;
        }
        assert!(pages >= 2, "{dump}");
    }
}

/// Cut at any length or with any bit flipped, a file is shown or refused.
#[test]
fn damaged_files_are_survived() {
    let temp = tempdir().unwrap();
    for (path, _) in expected("tree") {
        let whole = fs::read(&path).unwrap();
        let damaged = temp.path().join(path.file_name().unwrap());
        for cut in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[cut] ^= 1 << (cut % 8);
            let _ = stasis::image::show::show(bytes.as_slice(), &path, bytes.len() as u64);
            if let Ok(json) = stasis::image::show::show(&whole[..cut], &path, cut as u64) {
                assert_eq!(edit::encode(&json).unwrap(), &whole[..cut], "{}", path.display());
            }
        }
        fs::write(&damaged, &whole[..whole.len() - 1]).unwrap();
        assert!(show_file(&damaged).is_err(), "{}", path.display());
    }
    // and the summary, which reads them all, with each of them damaged in turn
    for (path, _) in expected("tree") {
        let damaged = temp.path().join(path.file_name().unwrap());
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(13) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x81;
            fs::write(&damaged, &bytes).unwrap();
            if let Ok(summary) = show_dir(temp.path()) {
                let _ = summary.to_string();
            }
        }
        fs::write(&damaged, &whole).unwrap();
    }
}

#[test]
fn a_directory_on_one_page() {
    let mut pages = String::new();
    for dump in DUMPS {
        pages += &show_dir(&fixtures().join(dump)).unwrap().to_string();
        pages += "\n";
    }
    let pages = pages.replace(fixtures().to_str().unwrap(), "fixtures");
    insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("summary", pages);
    });
}
