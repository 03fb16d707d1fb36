//! Tests of the parsers: samples, the live /proc of the test, and text that no kernel writes.

mod arbitrary;
mod base;
mod descriptors;
mod live;
mod memory;
mod mounts;
mod samples;
mod tasks;

use super::error::ParseError;

/// The error of a parse that must fail, as text.
fn refused<T: std::fmt::Debug>(result: Result<T, ParseError>) -> String {
    result.expect_err("the text is wrong").to_string()
}

/// `text` with `from` replaced by `to`, where it must occur.
fn changed(text: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(text.to_vec()).expect("samples are UTF-8");
    assert!(text.contains(from), "the sample has no {from:?}");
    text.replacen(from, to, 1).into_bytes()
}
