//! The lines of inotify and fanotify descriptors in fdinfo.

use super::error::ParseError;
use super::fdinfo::Body;
use super::text::Line;

type Result<T> = std::result::Result<T, ParseError>;

/// A file as name_to_handle_at(2) names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileHandle {
    /// `handle_type`.
    pub kind: i32,
    /// `f_handle`.
    pub bytes: Vec<u8>,
}

/// A watch of an inotify descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InotifyWatch {
    /// The watch descriptor.
    pub wd: u32,
    /// The inode watched.
    pub ino: u64,
    /// The device of its file system, see [`super::fdinfo::kernel_dev`].
    pub sdev: u32,
    /// IN_* asked for.
    pub mask: u32,
    /// Events ignored.
    pub ignored_mask: u32,
    /// The inode's handle; `None` on a file system that has none.
    pub handle: Option<FileHandle>,
}

/// A fanotify descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fanotify {
    /// FAN_* of fanotify_init(2).
    pub flags: u32,
    /// O_* of the descriptors that its events carry.
    pub event_flags: u32,
    /// What it watches.
    pub marks: Vec<FanotifyMark>,
}

/// A mark of a fanotify descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FanotifyMark {
    /// What is marked.
    pub target: MarkTarget,
    /// The kernel's flags of the mark.
    pub flags: u32,
    /// FAN_* asked for.
    pub mask: u32,
    /// FAN_* ignored.
    pub ignored_mask: u32,
}

/// What a fanotify mark is attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MarkTarget {
    /// An inode.
    Inode {
        /// Its number.
        ino: u64,
        /// The device of its file system, see [`super::fdinfo::kernel_dev`].
        sdev: u32,
        /// Its handle; `None` on a file system that has none.
        handle: Option<FileHandle>,
    },
    /// A mount, by its id in mountinfo.
    Mount(u32),
    /// A whole file system, by its device.
    FileSystem(u32),
    /// A mount namespace, by its inode; since 6.15.
    MountNamespace(u64),
}

/// The fields of one line, in hexadecimal but for the namespace.
#[derive(Default)]
struct Fields {
    wd: Option<u32>,
    ino: Option<u64>,
    sdev: Option<u32>,
    mnt_id: Option<u32>,
    mnt_ns: Option<u64>,
    flags: Option<u32>,
    event_flags: Option<u32>,
    mark_flags: Option<u32>,
    mask: Option<u32>,
    ignored_mask: Option<u32>,
    handle_len: Option<usize>,
    handle: Option<FileHandle>,
}

impl Fields {
    fn parse(line: &mut Line<'_>) -> Result<Self> {
        let mut out = Self::default();
        line.blanks();
        while !line.is_done() {
            let whole = line.clone();
            match line.until(b':') {
                Some(key) if out.number(key, line)? || out.handle(key, line)? => line.blanks(),
                _ => return Err(whole.error("a known field of a watch")),
            }
        }
        Ok(out)
    }

    fn number(&mut self, key: &[u8], line: &mut Line<'_>) -> Result<bool> {
        const HEX: &str = "a hexadecimal number";
        match key {
            b"wd" => self.wd = Some(line.hex(HEX)?),
            b"ino" => self.ino = Some(line.hex(HEX)?),
            b"sdev" => self.sdev = Some(line.hex(HEX)?),
            b"mnt_id" => self.mnt_id = Some(line.hex(HEX)?),
            b"mnt_ns" => self.mnt_ns = Some(line.dec("the inode of a namespace")?),
            b"flags" => self.flags = Some(line.hex(HEX)?),
            b"event-flags" => self.event_flags = Some(line.hex(HEX)?),
            b"mflags" => self.mark_flags = Some(line.hex(HEX)?),
            b"mask" => self.mask = Some(line.hex(HEX)?),
            b"ignored_mask" => self.ignored_mask = Some(line.hex(HEX)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// `fhandle-bytes:LENGTH fhandle-type:KIND f_handle:BYTES`
    fn handle(&mut self, key: &[u8], line: &mut Line<'_>) -> Result<bool> {
        match key {
            b"fhandle-bytes" => self.handle_len = Some(line.hex("the length of a file handle")?),
            b"fhandle-type" => {
                let kind = line.hex::<u32>("the type of a file handle")?;
                self.handle = Some(FileHandle { kind: kind.cast_signed(), bytes: Vec::new() });
            }
            b"f_handle" => {
                let whole = line.clone();
                let digits = line.word();
                let bytes = unhex(digits).filter(|bytes| Some(bytes.len()) == self.handle_len);
                match (bytes, &mut self.handle) {
                    (Some(bytes), Some(handle)) => handle.bytes = bytes,
                    _ => return Err(whole.error("the bytes of a file handle in hexadecimal, as many as announced")),
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// Takes a line after `inotify `.
pub(super) fn inotify_line(body: &mut Body, line: &mut Line<'_>) -> Result<bool> {
    let whole = line.clone();
    let fields = Fields::parse(line)?;
    let (Some(wd), Some(ino), Some(sdev), Some(mask)) = (fields.wd, fields.ino, fields.sdev, fields.mask) else {
        return Err(whole.error("wd, ino, sdev and mask of a watch"));
    };
    let ignored_mask = fields.ignored_mask.unwrap_or(0);
    let watch = InotifyWatch { wd, ino, sdev, mask, ignored_mask, handle: fields.handle };
    match body {
        Body::None => *body = Body::Inotify(vec![watch]),
        Body::Inotify(watches) => watches.push(watch),
        _ => return Ok(false),
    }
    Ok(true)
}

/// Takes a line after `fanotify `: the first has the flags, the others a mark each.
pub(super) fn fanotify_line(body: &mut Body, line: &mut Line<'_>) -> Result<bool> {
    let whole = line.clone();
    let fields = Fields::parse(line)?;
    match body {
        Body::None => {
            let (Some(flags), Some(event_flags)) = (fields.flags, fields.event_flags) else {
                return Err(whole.error("flags and event-flags"));
            };
            *body = Body::Fanotify(Fanotify { flags, event_flags, marks: Vec::new() });
        }
        Body::Fanotify(it) => match mark(fields) {
            Some(mark) => it.marks.push(mark),
            None => return Err(whole.error("a mark with its target, mflags and mask")),
        },
        _ => return Ok(false),
    }
    Ok(true)
}

fn mark(fields: Fields) -> Option<FanotifyMark> {
    let target = match (fields.ino, fields.sdev, fields.mnt_id, fields.mnt_ns) {
        (Some(ino), Some(sdev), None, None) => MarkTarget::Inode { ino, sdev, handle: fields.handle },
        (None, Some(sdev), None, None) => MarkTarget::FileSystem(sdev),
        (None, None, Some(id), None) => MarkTarget::Mount(id),
        (None, None, None, Some(inode)) => MarkTarget::MountNamespace(inode),
        _ => return None,
    };
    let (flags, mask) = (fields.mark_flags?, fields.mask?);
    Some(FanotifyMark { target, flags, mask, ignored_mask: fields.ignored_mask.unwrap_or(0) })
}
