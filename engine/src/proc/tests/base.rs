//! The cursor, the errors and the open directory.

use std::process::{Command, Stdio};

use nix::unistd::Pid;
use proptest::prelude::*;

use super::refused;
use crate::proc::text::{Line, Lines, find_byte, unescape_octal};
use crate::proc::{ParseError, ProcDir, stat};

proptest! {
    #[test]
    fn find_byte_is_position(text in prop::collection::vec(prop::sample::select(vec![0u8, 9, 10, 11, 138, 255]), 0..40)) {
        prop_assert_eq!(find_byte(&text, b'\n'), text.iter().position(|b| *b == b'\n'));
    }

    #[test]
    fn numbers_come_back(unsigned: u64, signed: i64) {
        prop_assert_eq!(Line::of(unsigned.to_string().as_bytes()).dec::<u64>(""), Ok(unsigned));
        prop_assert_eq!(Line::of(format!("{unsigned:x}").as_bytes()).hex::<u64>(""), Ok(unsigned));
        prop_assert_eq!(Line::of(format!("0{unsigned:o}").as_bytes()).octal::<u64>(""), Ok(unsigned));
        prop_assert_eq!(Line::of(signed.to_string().as_bytes()).int::<i64>(""), Ok(signed));
    }
}

#[test]
fn numbers_that_do_not_fit_are_refused() {
    assert!(Line::of(b"18446744073709551616").dec::<u64>("x").is_err());
    assert!(Line::of(b"4294967296").dec::<u32>("x").is_err());
    assert!(Line::of(b"9223372036854775808").int::<i64>("x").is_err());
    assert_eq!(Line::of(b"-9223372036854775808").int::<i64>("x"), Ok(i64::MIN));
    assert!(Line::of(b"- 5").int::<i64>("x").is_err());
    assert!(Line::of(b"-").int::<i64>("x").is_err());
    assert!(Line::of(b"+5").int::<i64>("x").is_err());
    assert!(Line::of(b"").dec::<u64>("x").is_err());
    assert_eq!(refused(Line::of(b"9z").octal::<u8>("a small number")), "line 1: expected a small number, found \"9z\"");
}

#[test]
fn lines_end_with_or_without_a_line_feed() {
    let lines = |text: &'static [u8]| Lines::new(text).map(|line| line.rest()).collect::<Vec<_>>();
    assert_eq!(lines(b""), Vec::<&[u8]>::new());
    assert_eq!(lines(b"a\n\nb"), [&b"a"[..], b"", b"b"]);
    assert_eq!(lines(b"a\n"), [&b"a"[..]]);
}

#[test]
fn octal_escapes() {
    assert_eq!(unescape_octal(br"a\040b\134\011\377"), b"a b\\\t\xff");
    assert_eq!(unescape_octal(br"\04 \400 \\x \"), br"\04 \400 \\x \");
}

#[test]
fn an_error_shows_a_short_printable_piece() {
    let error = ParseError::new(3, "a pid", &[b'\n'; 500]);
    assert_eq!(error.found.len(), 160);
    assert!(error.to_string().starts_with("line 3: expected a pid, found \"\\n\\n"));
}

#[test]
fn a_file_larger_than_the_buffer_is_read_whole() {
    let (one, two) = ("x".repeat(100_000), "y".repeat(100_000));
    let mut cat = Command::new("cat");
    let mut child = cat.env_clear().env("A", &one).env("B", &two).stdin(Stdio::piped()).spawn().unwrap();
    let dir = ProcDir::open(Pid::from_raw(child.id().cast_signed())).unwrap();
    let (mut large, mut small) = (vec![7; 50], Vec::new());
    dir.read("environ", &mut large).unwrap();
    small.clone_from(&large);
    dir.read("comm", &mut small).unwrap();
    drop(child.stdin.take());
    child.wait().unwrap();
    assert_eq!(large, format!("A={one}\0B={two}\0").into_bytes());
    assert_eq!(small, b"cat\n");
}

#[test]
fn a_reaped_task_is_gone() {
    let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_raw(child.id().cast_signed());
    let dir = ProcDir::open(pid).unwrap();
    let mut buf = Vec::new();
    assert_eq!(stat::read(&dir, &mut buf).unwrap().pid, pid);
    drop(child.stdin.take());
    child.wait().unwrap();
    let error = stat::read(&dir, &mut buf).unwrap_err();
    assert!(error.is_gone(), "{error:?}");
    assert_eq!(error.to_string(), format!("failed to open /proc/{pid}/stat"));
    assert!(ProcDir::open(pid).unwrap_err().is_gone());
}

#[test]
fn an_error_names_the_file_the_line_and_the_text() {
    let dir = ProcDir::current().unwrap();
    let error = dir.read_with("comm", &mut Vec::new(), |text| Line::of(text).dec::<u64>("a number")).unwrap_err();
    assert_eq!(error.to_string(), "failed to parse /proc/self/comm");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.starts_with("line 1: expected a number, found \""), "{source}");
    assert!(!error.is_gone() && !error.is_denied());
}
