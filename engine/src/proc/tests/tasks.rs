//! stat, status, timers and the small files.

use nix::unistd::Pid;

use super::samples::{STAT, STATUS, TIMERS};
use super::{changed, refused};
use crate::proc::task::{self, Cgroup, Namespace, Word};
use crate::proc::timers::{self, Notify, Target, Timer};
use crate::proc::{stat, status};

fn pid(raw: i32) -> Pid {
    Pid::from_raw(raw)
}

#[test]
fn stat_of_a_task_with_a_wild_name() {
    let it = stat::parse(STAT).unwrap();
    assert_eq!(it.comm, b"a) R (b\nc)");
    assert_eq!((it.pid, it.state, it.ppid, it.pgrp, it.session), (pid(10732), b'S', pid(8152), pid(8150), pid(5258)));
    assert_eq!((it.tty_nr, it.tpgid, it.flags, it.nice, it.num_threads), (34816, pid(8152), 0x40_0100, -5, 3));
    assert_eq!((it.start_time, it.vsize), (127_509, 3_133_440));
    assert_eq!((it.start_code, it.end_code, it.start_stack), (93970491011072, 93970491030953, 140729555130000));
    assert_eq!((it.exit_signal, it.rt_priority, it.policy), (17, 99, 2));
    assert_eq!((it.start_data, it.end_data, it.start_brk), (93970491046960, 93970491048576, 93971561656320));
    assert_eq!((it.arg_start, it.arg_end), (140729555131035, 140729555131055));
    assert_eq!((it.env_start, it.env_end, it.exit_code), (140729555131056, 140729555132395, 35584));
    assert!(!it.is_dead() && !it.is_kernel_thread());
}

#[test]
fn stat_of_the_dead_and_of_the_kernel() {
    let dead = changed(STAT, "S 8152 8150 5258 34816 8152", "Z 0 -1 -1 0 -1");
    let it = stat::parse(&dead).unwrap();
    assert!(it.is_dead());
    assert_eq!((it.ppid, it.pgrp, it.session, it.tpgid), (pid(0), pid(-1), pid(-1), pid(-1)));
    assert!(stat::parse(&changed(STAT, "4194560", "2129984")).unwrap().is_kernel_thread());
}

#[test]
fn stat_cut_short() {
    assert_eq!(refused(stat::parse(b"12 (a")), "line 1: expected a name in parentheses, found \" (a\"");
    assert_eq!(refused(stat::parse(b"12 )a(")), "line 1: expected a name in parentheses, found \" )a(\"");
    assert_eq!(refused(stat::parse(b"12 (a) ")), "line 1: expected a state letter, found \"\"");
    assert_eq!(refused(stat::parse(&changed(STAT, " 35584\n", "\n"))), "line 1: expected exit_code, found \"\"");
    assert_eq!(refused(stat::parse(b"12 (a) S 1 2 3 4 5 6 7 8")), "line 1: expected the 52 fields of stat, found \"\"");
}

#[test]
fn status_identity() {
    let it = status::parse(STATUS).unwrap();
    assert_eq!(it.name, b"a\\b\nc");
    assert_eq!((it.state, it.umask, it.threads), (b't', Some(0o27), Some(2)));
    assert_eq!((it.ids.tgid, it.ids.pid, it.ids.ppid, it.ids.tracer), (pid(8159), pid(8160), pid(8152), pid(77)));
    assert_eq!((it.uid, it.gid), ([1, 2, 3, u32::MAX], [5, 6, 7, 8]));
    assert_eq!(it.groups, [4, 27, 1000]);
    assert_eq!((it.ns.tgid, it.ns.pid), (vec![pid(8159), pid(5)], vec![pid(8160), pid(6)]));
    assert_eq!((it.ns.pgid, it.ns.sid), (vec![pid(8152), pid(0)], vec![pid(5258), pid(0)]));
}

#[test]
fn status_switches() {
    let it = status::parse(STATUS).unwrap();
    assert_eq!((it.vm_locked, it.hugetlb), (Some(64), Some(2048)));
    assert_eq!((it.core_dumping, it.thp_enabled, it.no_new_privs), (Some(false), Some(true), Some(true)));
    assert_eq!((it.seccomp, it.seccomp_filters, it.sig_queued), (Some(2), Some(3), Some((3, 96364))));
    assert_eq!(it.store_bypass.as_deref(), Some(&b"thread force mitigated"[..]));
    assert_eq!(it.indirect_branch.as_deref(), Some(&b"always enabled"[..]));
    assert_eq!(it.thread_features.as_deref(), Some(&b"shstk wrss"[..]));
    assert_eq!(it.cpus_allowed, Some(vec![3, 0xf]));
    let cpus: Vec<usize> = (0..200).filter(|cpu| it.may_run_on(*cpu)).collect();
    assert_eq!(cpus, [0, 1, 32, 33, 34, 35]);
}

#[test]
fn status_sets() {
    let it = status::parse(STATUS).unwrap();
    let (signals, caps) = (it.signals, it.caps);
    assert_eq!((signals.pending, signals.shared_pending), (1, 0x8000_0000_0000_0002));
    assert_eq!((signals.blocked, signals.ignored, signals.caught), (4, 0x1000, 0x1_8000_04a0));
    assert_eq!((caps.inheritable, caps.permitted, caps.effective), (0x10, 0x1ff_feff_ffff, 0x20));
    assert_eq!((caps.bounding, caps.ambient), (Some(0x1ff_feff_ffff), Some(0x40)));
}

#[test]
fn status_without_what_a_zombie_or_an_old_kernel_lacks() {
    let optional = [
        "Umask", "Ngid", "FDSize", "NStgid", "NSpid", "NSpgid", "NSsid", "Vm", "Kthread", "Huge", "Core", "THP",
        "untag", "Threads", "SigQ", "CapBnd", "CapAmb", "NoNew", "Seccomp", "Spec", "Cpus", "Mems", "x86", "vol",
        "nonvol",
    ];
    let text = String::from_utf8(STATUS.to_vec()).unwrap();
    let kept: String = text.split_inclusive('\n').filter(|l| !optional.iter().any(|o| l.starts_with(o))).collect();
    assert_eq!(kept.lines().count(), 17);
    let it = status::parse(kept.as_bytes()).unwrap();
    assert_eq!((it.umask, it.threads, it.seccomp, it.caps.ambient, it.cpus_allowed), (None, None, None, None, None));
    for line in kept.split_inclusive('\n') {
        let name = line.split(':').next().unwrap();
        let error = refused(status::parse(kept.replace(line, "").as_bytes()));
        assert!(error.contains(&format!("expected {name},")), "without {name}: {error}");
    }
}

#[test]
fn status_of_wrong_text() {
    assert_eq!(
        refused(status::parse(b"hello\n")),
        "line 1: expected a line of the form `Name: value`, found \"hello\""
    );
    let error = refused(status::parse(&changed(STATUS, "0000000000001000", "0000000000x01000")));
    assert_eq!(error, "line 33: expected the end of the line, found \"x01000\"");
    let error = refused(status::parse(&changed(STATUS, "Seccomp:\t2", "Seccomp:\ton")));
    assert_eq!(error, "line 41: expected a seccomp mode, found \"on\"");
    let error = refused(status::parse(&changed(STATUS, "Uid:\t1\t2\t3\t4294967295", "Uid:\t1\t2\t3\t4294967296")));
    assert_eq!(error, "line 9: expected four ids, found \"4294967296\"");
}

#[test]
fn timers_of_all_sorts() {
    let timer = |id, signal, value, notify, target, clock| Timer { id, signal, value, notify, target, clock };
    assert_eq!(
        timers::parse(TIMERS).unwrap(),
        [
            timer(2, 34, 0xdead_beef, Notify::Signal, Target::Thread(pid(10732)), -6),
            timer(1, 0, 0, Notify::None, Target::Process(pid(10732)), 0),
            timer(0, 64, u64::MAX, Notify::Thread, Target::Process(pid(10732)), 1),
        ]
    );
    assert_eq!(timers::parse(b""), Ok(vec![]));
    assert_eq!(
        refused(timers::parse(&changed(TIMERS, "none/pid", "nobody/pid"))),
        "line 7: expected `notify: how/whom.pid` of a timer, found \"notify: nobody/pid.10732\""
    );
    assert!(refused(timers::parse(b"ID: 1\nsignal: 1/0\n")).contains("line 2: expected `notify:"));
}

#[test]
fn small_files() {
    assert_eq!(task::parse_children(b"12 13 4000000 "), Ok(vec![pid(12), pid(13), pid(4_000_000)]));
    assert_eq!(task::parse_children(b""), Ok(vec![]));
    assert!(task::parse_children(b"12 x").is_err());
    assert_eq!(
        task::parse_namespace(b"pid:[4026531836]"),
        Ok(Namespace { kind: b"pid".to_vec(), inode: 4_026_531_836 })
    );
    assert!(task::parse_namespace(b"pid:[4026531836").is_err());
    assert!(task::parse_namespace(b"/dev/null").is_err());
    assert_eq!(task::parse_command_line(b"sh\0-c\0\0"), [&b"sh"[..], b"-c", b""]);
    assert_eq!(task::parse_command_line(b"nginx: worker"), [b"nginx: worker"]);
    assert!(task::parse_command_line(b"").is_empty());
}

#[test]
fn cgroups_of_both_versions() {
    let text = b"12:cpu,cpuacct:/a:b\n1:name=systemd:/\n0::/x (deleted)\n";
    let cgroup = |hierarchy, controllers: &[&[u8]], path: &[u8]| Cgroup {
        hierarchy,
        controllers: controllers.iter().map(|name| name.to_vec()).collect(),
        path: path.to_vec(),
    };
    assert_eq!(
        task::parse_cgroups(text).unwrap(),
        [
            cgroup(12, &[b"cpu", b"cpuacct"], b"/a:b"),
            cgroup(1, &[b"name=systemd"], b"/"),
            cgroup(0, &[], b"/x (deleted)")
        ]
    );
    assert_eq!(refused(task::parse_cgroups(b"0:x")), "line 1: expected `hierarchy:controllers:path`, found \"0:x\"");
}

#[test]
fn auxv_of_both_sizes() {
    let long: Vec<u8> = [33u64, 0x7ffe_0000_0000, 0, 0].iter().flat_map(|word| word.to_ne_bytes()).collect();
    assert_eq!(task::parse_auxv(&long, Word::Eight), Ok(vec![33, 0x7ffe_0000_0000, 0, 0]));
    let short: Vec<u8> = [33u32, 0xf7f0_0000, 0, 0].iter().flat_map(|word| word.to_ne_bytes()).collect();
    assert_eq!(task::parse_auxv(&short, Word::Four), Ok(vec![33, 0xf7f0_0000, 0, 0]));
    assert!(task::parse_auxv(&long[..24], Word::Eight).is_err());
    assert!(task::parse_auxv(&long[..31], Word::Eight).is_err());
    assert_eq!(task::parse_auxv(b"", Word::Eight), Ok(vec![]));
}
