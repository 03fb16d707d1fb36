//! No text makes a parser panic: neither noise, nor what a kernel wrote with pieces changed.

use proptest::prelude::*;

use super::samples;
use crate::proc::{fdinfo, locks, maps, mountinfo, pagemap, smaps, stat, status, task, timers};

/// Gives `text` to every parser; whatever was parsed is looked at.
fn parse_all(text: &[u8]) {
    let _ = stat::parse(text).map(|it| it.is_dead());
    let _ = status::parse(text).map(|it| it.may_run_on(usize::MAX));
    let _ = smaps::parse(text).map(|areas| format!("{areas:?}"));
    let _ = fdinfo::parse(text);
    let _ = locks::parse(text);
    let _ = timers::parse(text);
    let _ = task::parse_children(text);
    let _ = task::parse_namespace(text);
    let _ = task::parse_cgroups(text);
    let _ = task::parse_auxv(text, task::Word::Four);
    let _ = task::parse_auxv(text, task::Word::Eight);
    let _ = task::parse_command_line(text);
    for it in maps::parse(text).unwrap_or_default() {
        let _ = (it.file_path(), it.kind(), it.is_deleted(), it.range.len(), it.range.pages(0), it.range.map_file());
    }
    for it in mountinfo::parse(text).unwrap_or_default() {
        mountinfo::split_options(&it.super_options);
    }
    if let Ok(pages) = pagemap::parse(text) {
        let _ = pages.map(|page| (page.frame(), page.swap())).collect::<Vec<_>>();
    }
}

/// A sample, or the fdinfo of a kind.
fn sample() -> impl Strategy<Value = Vec<u8>> {
    use samples::{LOCKS, MAPS, MOUNTINFO, SMAPS, STAT, STATUS, TIMERS};
    prop_oneof![
        prop::sample::select(vec![LOCKS, MAPS, MOUNTINFO, SMAPS, STAT, STATUS, TIMERS]).prop_map(<[u8]>::to_vec),
        prop::sample::select(samples::BODIES.to_vec()).prop_map(samples::fdinfo),
    ]
}

/// Bytes that mean something to some parser.
fn telling_byte() -> impl Strategy<Value = u8> {
    prop_oneof![prop::sample::select(b"\n\t :-/,.()[]\\0189afx".to_vec()), any::<u8>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn noise(text in prop::collection::vec(telling_byte(), 0..200)) {
        parse_all(&text);
    }

    #[test]
    fn changed_samples(
        mut text in sample(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), telling_byte(), 0..3u8), 1..6),
    ) {
        for (at, byte, how) in changes {
            if text.is_empty() {
                break;
            }
            let at = at.index(text.len());
            match how {
                0 => text[at] = byte,
                1 => text.insert(at, byte),
                _ => text.truncate(at),
            }
        }
        parse_all(&text);
    }

    #[test]
    fn any_name_comes_back_from_stat(name in prop::collection::vec(1..=255u8, 0..16)) {
        let fields = samples::STAT.rsplit(|b| *b == b')').next().unwrap();
        let text = [b"7 (", name.as_slice(), b")", fields].concat();
        prop_assert_eq!(stat::parse(&text).map(|it| it.comm), Ok(name));
    }

    #[test]
    fn any_name_comes_back_from_status(name in prop::collection::vec(1..=255u8, 0..16)) {
        let escaped: Vec<u8> = name
            .iter()
            .flat_map(|byte| match byte {
                b'\n' => b"\\n".to_vec(),
                b'\\' => b"\\\\".to_vec(),
                byte => vec![*byte],
            })
            .collect();
        let rest = samples::STATUS.splitn(2, |b| *b == b'\n').nth(1).unwrap();
        let text = [b"Name:\t", escaped.as_slice(), b"\n", rest].concat();
        prop_assert_eq!(status::parse(&text).map(|it| it.name), Ok(name));
    }
}
