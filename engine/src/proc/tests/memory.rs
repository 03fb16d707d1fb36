//! maps, smaps and pagemap.

use proptest::prelude::*;

use super::samples::{MAPS, SMAPS};
use super::{changed, refused};
use crate::proc::maps::{self, AddrRange, Mapping, Name, Prot};
use crate::proc::pagemap::{self, PageEntry};
use crate::proc::smaps::{self, Usage, VmFlags};

#[test]
fn ranges() {
    let range = |start, end| AddrRange { start, end };
    let it = range(0x1000, 0x3000);
    assert_eq!((it.len(), it.pages(0x1000), it.is_empty()), (0x2000, 2, false));
    assert_eq!(range(0x1000, 0x2001).pages(0x1000), 2);
    assert!(it.contains(0x1000) && it.contains(0x2fff) && !it.contains(0x3000) && !it.contains(0xfff));
    assert!(it.overlaps(&range(0x2fff, 0x5000)) && it.overlaps(&range(0, u64::MAX)) && it.overlaps(&it));
    assert!(
        !it.overlaps(&range(0x3000, 0x4000)) && !it.overlaps(&range(0, 0x1000)) && !it.overlaps(&range(0x2000, 0x2000))
    );
    assert_eq!(it.map_file(), "map_files/1000-3000");
}

#[test]
fn all_names() {
    let found = maps::parse(MAPS).unwrap();
    let kinds: Vec<Name<'_>> = found.iter().map(Mapping::kind).collect();
    let expected = [
        Name::File,
        Name::Heap,
        Name::Anonymous,
        Name::AnonymousNamed(b"a name"),
        Name::SharedNamed(b"other"),
        Name::File,
        Name::Memfd(br"x y\012"),
        Name::SharedAnonymous,
        Name::SysV(0xabcd),
        Name::File,
        Name::Hugetlb,
        Name::AioRing,
        Name::Special(b"anon_inode:[io_uring]"),
        Name::File,
        Name::Vvar,
        Name::VvarVclock,
        Name::Vdso,
        Name::Stack,
        Name::Vsyscall,
    ];
    assert_eq!(kinds, expected);
    let paths: Vec<Vec<u8>> = found.iter().filter_map(|it| it.file_path().map(|path| path.to_vec())).collect();
    assert_eq!(paths, [&b"/tmp/counter"[..], b"/tmp/pr oc\nx/f", b"/SYSV0000abcd0", b"/var/old (deleted)"]);
    let deleted: Vec<usize> = (0..found.len()).filter(|index| found[*index].is_deleted()).collect();
    assert_eq!(deleted, [6, 7, 8, 9, 10, 11, 13]);
}

#[test]
fn all_fields_of_a_mapping() {
    let found = maps::parse(MAPS).unwrap();
    assert_eq!(
        found[5],
        Mapping {
            range: AddrRange { start: 0x7fa7_a19d_a000, end: 0x7fa7_a19d_b000 },
            prot: Prot { read: true, write: false, exec: false },
            shared: true,
            offset: 0x1_2345_6000,
            dev: (0xfe, 0),
            inode: 10_182_686,
            name: br"/tmp/pr oc\012x/f".to_vec(),
        }
    );
    assert_eq!(found[9].inode, u64::MAX);
    assert_eq!(found[9].dev, (0, 15));
    assert_eq!(found[16].prot.bits(), libc::PROT_READ | libc::PROT_EXEC);
    assert_eq!(found[18].prot.bits(), libc::PROT_EXEC);
}

#[test]
fn wrong_maps() {
    let wrong = |from: &str, to: &str| refused(maps::parse(&changed(MAPS, from, to)));
    assert!(
        wrong("564a1310a000-564a1312b000", "564a1312b000-564a1310a000").starts_with("line 2: expected an area that")
    );
    assert!(wrong("r--p", "r-p ").starts_with("line 1: expected permissions like rwxp"));
    assert!(wrong("fe:00", "fe.00").starts_with("line 1: expected `:` between the device's numbers"));
    assert!(wrong("5649deda5000-", "15649deda50000000-").starts_with("line 1: expected the start of an area"));
    assert!(wrong("10010659", "1001065x").starts_with("line 1: expected a blank before the name"));
}

#[test]
fn areas_with_usage_and_flags() {
    let found = smaps::parse(SMAPS).unwrap();
    assert_eq!(found.len(), 4);
    let usage =
        |rss, pss, anonymous, swap, locked, hugetlb| Usage { page_size: 4, rss, pss, anonymous, swap, locked, hugetlb };
    assert_eq!(found[0].usage, usage(8, 5, 0, 0, 0, 0));
    assert_eq!(found[1].usage, usage(12, 12, 11, 123_456_789, 3, 6144));
    assert_eq!((found[0].protection_key, found[1].protection_key), (None, Some(5)));
    assert_eq!(found[1].flags.codes().collect::<Vec<_>>(), ["rd", "wr", "mr", "mw", "me", "ac", "nh"]);
    assert_eq!(found[1].unknown_flags, [*b"zz"]);
    assert!(found[2].flags.contains(VmFlags::DROPPABLE | VmFlags::WIPE_ON_FORK | VmFlags::DONT_DUMP));
    assert!(found[2].unknown_flags.is_empty());
    assert_eq!((found[3].flags, found[3].mapping.kind()), (VmFlags::EXEC, Name::Vsyscall));
}

#[test]
fn wrong_smaps() {
    let wrong = |from: &str, to: &str| refused(smaps::parse(&changed(SMAPS, from, to)));
    assert!(wrong("VmFlags: rd mr mw me \n", "").starts_with("line 25: expected a line `Name: value` of an area"));
    assert!(wrong("VmFlags: ex \n", "").contains("expected VmFlags of the last area"));
    assert!(wrong("rd mr", "rdd mr").starts_with("line 25: expected a blank after a flag"));
    assert!(wrong("ex \n", "x\n").ends_with("expected a flag of two letters, found \"x\""));
    assert!(
        wrong("Pss:                   5 kB", "Pss:                   ? kB")
            .starts_with("line 6: expected a size in kB")
    );
}

#[test]
fn flags_and_codes_match_one_to_one() {
    let mut seen = VmFlags::EMPTY;
    for (code, flag) in VmFlags::ALL {
        let bytes: [u8; 2] = code.as_bytes().try_into().unwrap();
        assert_eq!(VmFlags::from_code(bytes), Some(*flag));
        assert!(!seen.intersects(*flag), "{code} shares its bit");
        seen |= *flag;
    }
    assert_eq!(VmFlags::from_code(*b"??"), None);
    let some = VmFlags::READ | VmFlags::SEALED;
    assert_eq!(format!("{some:?}"), "VmFlags(rd sl)");
    assert_eq!((some.without(VmFlags::READ), some.intersection(VmFlags::READ)), (VmFlags::SEALED, VmFlags::READ));
    assert!(VmFlags::EMPTY.is_empty() && !some.is_empty());
}

#[test]
fn page_entries() {
    let words = [1 << 63 | 1 << 56 | 0x1234, 1 << 62 | 5 << 5 | 3, 1 << 61 | 1 << 55, 1 << 58 | 1 << 57, 0];
    let bytes: Vec<u8> = words.iter().flat_map(|word: &u64| word.to_ne_bytes()).collect();
    let it: Vec<PageEntry> = pagemap::parse(&bytes).unwrap().collect();
    assert_eq!(it.iter().map(|page| page.bits()).collect::<Vec<_>>(), words);
    assert!(it[0].is_present() && it[0].is_exclusive() && !it[0].is_swapped() && !it[0].is_file());
    assert_eq!((it[0].frame(), it[0].swap()), (Some(0x1234), None));
    assert_eq!((it[1].frame(), it[1].swap(), it[1].is_swapped()), (None, Some((3, 5)), true));
    assert!(it[2].is_file() && it[2].is_soft_dirty() && !it[2].is_present());
    assert!(it[3].is_guard() && it[3].is_uffd_wp() && !it[3].is_soft_dirty());
    assert_eq!(it[4], PageEntry::default());
    assert_eq!(PageEntry::new(1 << 63).frame(), None, "hidden from an ordinary user");
    assert!(pagemap::parse(&bytes[..9]).is_err());
}

/// As the kernel writes it: the name starts at column 73 or after one blank.
fn written(it: &Mapping) -> Vec<u8> {
    let p = it.prot;
    let letter = |on: bool, letter: char| if on { letter } else { '-' };
    let AddrRange { start, end } = it.range;
    let mut line = format!(
        "{start:08x}-{end:08x} {}{}{}{} {:08x} {:02x}:{:02x} {} ",
        letter(p.read, 'r'),
        letter(p.write, 'w'),
        letter(p.exec, 'x'),
        if it.shared { 's' } else { 'p' },
        it.offset,
        it.dev.0,
        it.dev.1,
        it.inode
    )
    .into_bytes();
    if !it.name.is_empty() {
        line.resize(line.len().max(73), b' ');
        line.extend(&it.name);
    }
    line.push(b'\n');
    line
}

proptest! {
    #[test]
    fn mappings_come_back(
        bounds: (u64, u64),
        flags: (bool, bool, bool, bool),
        offset: u64,
        dev: (u32, u32),
        inode: u64,
        name in prop_oneof![Just(vec![]), "/[ -~]{0,300}".prop_map(String::into_bytes), prop::collection::vec(33u8..=255, 1..60)],
    ) {
        let it = Mapping {
            range: AddrRange { start: bounds.0.min(bounds.1), end: bounds.0.max(bounds.1) },
            prot: Prot { read: flags.0, write: flags.1, exec: flags.2 },
            shared: flags.3,
            offset,
            dev,
            inode,
            name,
        };
        prop_assert_eq!(maps::parse(&written(&it)), Ok(vec![it]));
    }
}

#[test]
fn twenty_thousand_areas_are_read_quickly() {
    let area = SMAPS.split_inclusive(|b| *b == b'\n').take(25).collect::<Vec<_>>().concat();
    let text = area.repeat(20_000);
    let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
    let fastest = (0..5)
        .map(|_| {
            let start = nix::time::clock_gettime(clock).unwrap();
            assert_eq!(smaps::parse(&text).unwrap().len(), 20_000);
            std::time::Duration::from(nix::time::clock_gettime(clock).unwrap() - start)
        })
        .min()
        .unwrap();
    // The goal is 25 ms; twice that leaves room for a slow machine, and an unoptimised build takes many times as long.
    let limit = if cfg!(debug_assertions) { 2000 } else { 50 };
    println!("20 000 areas, {} kB: {fastest:?}", text.len() >> 10);
    assert!(fastest.as_millis() < limit, "20 000 areas took {fastest:?}");
}
