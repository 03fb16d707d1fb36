//! mountinfo.

use super::samples::MOUNTINFO;
use super::{changed, refused};
use crate::proc::mountinfo::{self, Mount, Propagation, split_options};

#[test]
fn mounts_with_optional_fields() {
    let found = mountinfo::parse(MOUNTINFO).unwrap();
    let propagation: Vec<Propagation> = found.iter().map(|it| it.propagation).collect();
    let none = Propagation::default();
    assert_eq!(
        propagation,
        [
            none,
            Propagation { shared: Some(1), ..none },
            Propagation { master: Some(1), propagate_from: Some(7), ..none },
            Propagation { unbindable: true, ..none },
            none,
        ]
    );
    assert_eq!((found[0].id, found[0].parent, found[0].dev), (22, 27, (0, 21)));
    assert_eq!((found[2].root.as_slice(), found[2].mountpoint.as_slice()), (&b"/mnt1"[..], &b"/mnt2"[..]));
    assert_eq!(found[2].options, b"rw,noatime");
    assert_eq!((found[4].fs_type.as_slice(), found[4].source.as_slice()), (&b"tmpfs"[..], &b""[..]));
    assert_eq!(found[4].super_options, b"rw,size=64k");
}

#[test]
fn escapes_are_decoded() {
    let found = mountinfo::parse(MOUNTINFO).unwrap();
    assert_eq!(
        found[3],
        Mount {
            id: 37,
            parent: 27,
            dev: (0, 40),
            root: b"/a b//deleted".to_vec(),
            mountpoint: b"/c\td\\e".to_vec(),
            options: b"ro".to_vec(),
            propagation: Propagation { unbindable: true, ..Propagation::default() },
            unknown: vec![b"new_tag:5".to_vec()],
            fs_type: b"fuse.s#sh".to_vec(),
            source: b"host:/x y".to_vec(),
            super_options: br"rw,user_id=0,opt=1\0542".to_vec(),
        }
    );
    assert_eq!(split_options(&found[3].super_options), [&b"rw"[..], b"user_id=0", b"opt=1,2"]);
    assert!(split_options(b"").is_empty());
}

#[test]
fn wrong_mountinfo() {
    let wrong = |from: &str, to: &str| refused(mountinfo::parse(&changed(MOUNTINFO, from, to)));
    assert!(
        wrong("master:1 ", "master:x ").starts_with("line 3: expected the number of a peer group, found \"master:x")
    );
    assert!(wrong("shared:1 - ", "shared:1 ").starts_with("line 2: expected `-` after the optional fields"));
    assert!(wrong("98:0", "98-0").starts_with("line 3: expected `:` between the device's numbers"));
    assert!(wrong(" - proc proc rw", " - proc").starts_with("line 1: expected the file system type"));
}
