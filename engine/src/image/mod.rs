//! Image files: CRIU's v1.1 format, read and written, and the few files that Stasis adds to it.
//!
//! - [`kinds`] is the one table of files: name, magic, message, payload.
//! - [`framing`] reads entries; [`out`] writes them; both bound what they take from a file by its size.
//! - [`dir`] opens a directory to read, [`out`] a new one to write; [`manifest`] tells a complete one from a torn one.
//! - [`show`] and [`edit`] turn any file into JSON and back; [`summary`] puts a directory on one page.

pub mod base64;
pub mod crc;
pub mod dir;
pub mod edit;
pub mod error;
pub mod framing;
pub mod kinds;
pub mod manifest;
pub mod out;
pub mod pagemap;
mod payload;
mod reflect;
mod required;
pub mod show;
pub mod summary;
#[cfg(test)]
mod tests;

pub use crc::ChunkSums;
pub use dir::{ImageDir, Verify};
pub use error::{ImageError, Result};
pub use kinds::{Image, Name};
pub use manifest::{Manifest, ManifestHead};
pub use out::{NewImageDir, Writer};
pub use pagemap::{PageMap, Run, Source};
pub use show::{show_dir, show_file};
pub use summary::Summary;

/// The messages, generated from `engine/image/*.proto`; each field's comment says unit, constraint and source.
/// Strings that need not be UTF-8 (file names, task names) are `Vec<u8>`.
#[allow(missing_docs, clippy::all, rustdoc::all)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/stasis.image.rs"));
}
