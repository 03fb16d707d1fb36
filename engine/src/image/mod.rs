//! Image files: CRIU's v1.1 format, read and written, and the few files that Stasis adds to it.

/// The messages, generated from `engine/image/*.proto`; each field's comment says unit, constraint and source.
#[allow(missing_docs, clippy::all, rustdoc::all)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/stasis.image.rs"));
}
