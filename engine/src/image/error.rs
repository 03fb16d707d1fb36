//! Errors of the image layer: each names the file, where in it, and what was wrong.

use std::io;
use std::path::{Path, PathBuf};

/// Result of the image layer.
pub type Result<T, E = ImageError> = std::result::Result<T, E>;

/// Why an image could not be read or written. Paths are those that the user gave, with the file's name.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A system call failed.
    #[error("failed to {doing} {}", file.display())]
    Io {
        /// What was being done, as a verb.
        doing: &'static str,
        /// To which file.
        file: PathBuf,
        /// The errno.
        source: io::Error,
    },
    /// A file of the image is not there, or not named in the manifest.
    #[error("{} is not part of the image", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// The first words are not those of the expected kind, or of any.
    #[error("{} is not {expected}: its magic is {found:#010x}", file.display())]
    Magic {
        /// The file.
        file: PathBuf,
        /// What it should have been: the name of a kind, or "an image".
        expected: &'static str,
        /// The word that differs, in little endian order.
        found: u32,
    },
    /// The file ends within something.
    #[error("{} is cut off: {what} at offset {offset} needs {need} bytes, {left} are left", file.display())]
    Truncated {
        /// The file.
        file: PathBuf,
        /// Where the missing thing begins, in bytes.
        offset: u64,
        /// What is incomplete.
        what: &'static str,
        /// Its size in bytes.
        need: u64,
        /// Bytes from offset to the end.
        left: u64,
    },
    /// An entry is not the message that it should be.
    #[error("{}: the entry at offset {offset} is not a {message}", file.display())]
    Decode {
        /// The file.
        file: PathBuf,
        /// Where the entry's message begins, in bytes.
        offset: u64,
        /// The message it should be.
        message: String,
        /// What the decoder says.
        source: prost::DecodeError,
    },
    /// The frames are whole, and yet the contents make no sense.
    #[error("{}: at offset {offset}: {what}", file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// Where, in bytes.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The format is of another version.
    #[error("{} is of version {found}, this engine reads version {supported}", file.display())]
    Version {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u32,
        /// The only version that is read.
        supported: u32,
    },
    /// The dump that wrote this directory did not end.
    #[error("{} holds an incomplete dump: {why}", dir.display())]
    Incomplete {
        /// The directory.
        dir: PathBuf,
        /// How one can tell.
        why: &'static str,
    },
    /// A file's size is not that of the manifest.
    #[error("{} has {found} bytes, the manifest says {expected}", file.display())]
    Size {
        /// The file.
        file: PathBuf,
        /// Bytes by the manifest.
        expected: u64,
        /// Bytes in fact.
        found: u64,
    },
    /// A file's contents are not those of the manifest.
    #[error("{} has the checksum {found:08x}, the manifest says {expected:08x}", file.display())]
    Checksum {
        /// The file.
        file: PathBuf,
        /// CRC32C by the manifest.
        expected: u32,
        /// CRC32C in fact.
        found: u32,
    },
    /// A JSON value cannot become an image.
    #[error("{at}: {what}")]
    Json {
        /// Where in the value, as `entries[0].reg.name`.
        at: String,
        /// What is wrong.
        what: String,
    },
    /// The caller did not finish a file that it began; an error of the engine itself.
    #[error("{} was begun and never finished", file.display())]
    Unfinished {
        /// The file.
        file: PathBuf,
    },
}

impl ImageError {
    /// An `Io` from a library or `nix` error.
    pub(crate) fn io(doing: &'static str, file: impl AsRef<Path>, source: impl Into<io::Error>) -> Self {
        Self::Io { doing, file: file.as_ref().to_path_buf(), source: source.into() }
    }

    /// An `Invalid`.
    pub(crate) fn invalid(file: impl AsRef<Path>, offset: u64, what: impl Into<String>) -> Self {
        Self::Invalid { file: file.as_ref().to_path_buf(), offset, what: what.into() }
    }

    /// What the user can do about it; `None` when the message says it all.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Io { source, .. } => match source.raw_os_error() {
                Some(libc::ENOSPC | libc::EDQUOT) => Some("free some space, or choose another directory with -D"),
                Some(libc::ELOOP) => Some("image files must be regular files, symbolic links are not followed"),
                Some(libc::EACCES | libc::EPERM) => Some("check the owner and mode of the images directory"),
                Some(libc::EROFS) => Some("choose a directory on a writable file system with -D"),
                _ => None,
            },
            Self::Missing { .. } => Some("give the directory of a complete dump with -D"),
            Self::Magic { .. } | Self::Truncated { .. } | Self::Decode { .. } | Self::Invalid { .. } => {
                Some("the image is damaged: take another copy of it, or dump again")
            }
            Self::Version { .. } => Some("convert the image with the engine that wrote it, or dump again"),
            Self::Incomplete { .. } => Some("dump again; what is there cannot be restored"),
            Self::Size { .. } | Self::Checksum { .. } => Some(
                "the file was changed after the dump, or not written to disk before a crash; take another copy, \
                 or dump again (with --sync to survive a crash)",
            ),
            Self::Json { .. } | Self::Unfinished { .. } => None,
        }
    }
}
