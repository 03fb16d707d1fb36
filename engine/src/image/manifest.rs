//! The manifest: what a complete images directory holds, with sizes and checksums. Written last, by a rename.

use prost::Message as _;

use super::dir::{ImageDir, checksum};
use super::error::{ImageError, Result};
use super::framing::{Order, Reader, push_entry, push_head};
use super::kinds::STASIS_MANIFEST;
use super::proto::{StasisManifestEntry, StasisManifestFile};

/// Name of the manifest.
pub const NAME: &str = "stasis-manifest.img";
/// Its name while the dump goes on: made first, so that a dump that was killed is known by it.
pub const UNFINISHED: &str = "stasis-manifest.img.tmp";
/// The only version there is.
pub const VERSION: u32 = 1;

/// What a manifest says about the machine of the dump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManifestHead {
    /// `dump_criu_run_id` of the inventory.
    pub run_id: String,
    /// Bytes of a page.
    pub page_size: u32,
    /// `machine` of uname(2).
    pub arch: String,
    /// `release` of uname(2).
    pub kernel: String,
}

/// A manifest that was read and found whole. It proves that the dump ended; not that the files are as it left them
/// ([`ImageDir::verify`] does).
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    entry: StasisManifestEntry,
}

impl Manifest {
    /// A manifest of these files.
    pub(super) fn new(head: &ManifestHead, mut files: Vec<StasisManifestFile>) -> Self {
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let mut entry = StasisManifestEntry {
            version: VERSION,
            run_id: head.run_id.clone(),
            page_size: head.page_size,
            arch: head.arch.clone(),
            kernel: head.kernel.clone(),
            files,
            checksum: 0,
        };
        entry.checksum = own_checksum(&entry);
        Self { entry }
    }

    /// Reads the manifest of a directory; `None` if it has none.
    pub(super) fn read(dir: &ImageDir) -> Result<Option<Self>> {
        let Some((input, size)) = dir.open_any(NAME)? else { return Ok(None) };
        let file = dir.file(NAME);
        let mut reader = Reader::new(std::io::BufReader::new(input), &file, size, STASIS_MANIFEST.kind())?;
        let entry: Option<StasisManifestEntry> = reader.entry()?;
        let entry = entry.filter(|_| reader.left() == 0).ok_or_else(|| reader.invalid("not exactly one entry"))?;
        if entry.version != VERSION {
            return Err(ImageError::Version { file, found: entry.version, supported: VERSION });
        }
        let found = own_checksum(&entry);
        if found != entry.checksum {
            return Err(ImageError::Checksum { file, expected: entry.checksum, found });
        }
        let names_are_plain = entry.files.iter().all(|f| is_plain(&f.name));
        if !names_are_plain || !entry.files.is_sorted_by(|a, b| a.name < b.name) {
            return Err(ImageError::invalid(file, 0, "the names of the files are not in order"));
        }
        if !entry.page_size.is_power_of_two() {
            return Err(ImageError::invalid(file, 0, format!("{} is no size of a page", entry.page_size)));
        }
        Ok(Some(Self { entry }))
    }

    /// The bytes of its file.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        push_head(&mut bytes, STASIS_MANIFEST.kind(), Order::NATIVE);
        push_entry(&mut bytes, &self.entry, Order::NATIVE).then_some(bytes)
    }

    /// What it says about the machine of the dump.
    pub fn head(&self) -> ManifestHead {
        ManifestHead {
            run_id: self.entry.run_id.clone(),
            page_size: self.entry.page_size,
            arch: self.entry.arch.clone(),
            kernel: self.entry.kernel.clone(),
        }
    }

    /// The files in ascending order of names.
    pub fn files(&self) -> &[StasisManifestFile] {
        &self.entry.files
    }

    /// Names of the files in ascending order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entry.files.iter().map(|f| f.name.as_str())
    }

    /// What it says about one file.
    pub fn get(&self, name: &str) -> Option<&StasisManifestFile> {
        let at = self.entry.files.binary_search_by(|f| f.name.as_str().cmp(name)).ok()?;
        self.entry.files.get(at)
    }

    /// A manifest of the same files as they are now. For tools that change an image on purpose.
    pub(super) fn renewed(&self, dir: &ImageDir) -> Result<Self> {
        let file = |old: &StasisManifestFile| {
            let path = dir.file(&old.name);
            let (file, size) = dir.open_any(&old.name)?.ok_or_else(|| ImageError::Missing { file: path.clone() })?;
            let crc32c = checksum(&file, size).map_err(|e| ImageError::io("read", path, e))?;
            Ok(StasisManifestFile { name: old.name.clone(), size, crc32c })
        };
        Ok(Self::new(&self.head(), self.entry.files.iter().map(file).collect::<Result<_>>()?))
    }
}

/// Why a directory without a manifest, with these files, is an incomplete dump of ours; `None` if it is none of ours.
pub(super) fn torn(files: &[String]) -> Option<&'static str> {
    if files.iter().any(|f| f == UNFINISHED) {
        return Some("the dump was interrupted");
    }
    let ours = files.iter().any(|f| f.starts_with("stasis-") && f.ends_with(".img"));
    ours.then_some("its manifest is missing")
}

/// Whether `name` names a file of the directory itself.
fn is_plain(name: &str) -> bool {
    !matches!(name, "" | "." | ".." | NAME) && !name.contains(['/', '\0'])
}

/// CRC32C of the message without its own checksum.
fn own_checksum(entry: &StasisManifestEntry) -> u32 {
    crc32c::crc32c(&StasisManifestEntry { checksum: 0, ..entry.clone() }.encode_to_vec())
}
