//! The frames of image files: magic words, then entries with their sizes. Nothing that a file says is believed
//! beyond the file's size.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use prost::{Message, Name as ProstName};

use super::error::{ImageError, Result};
use super::kinds::{self, COMMON_MAGIC, Head, Kind, SERVICE_MAGIC};
use super::required;

/// The longest entry that is read, in bytes: no address space has enough areas to come near.
pub const MAX_ENTRY: u64 = 512 << 20;

/// Byte order of the framing words: that of the CPU, as CRIU writes them. The messages themselves are the same on all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Least significant byte first: every CPU but s390x.
    Little,
    /// Most significant byte first.
    Big,
}

impl Order {
    /// That of the running CPU.
    pub const NATIVE: Self = if u16::from_ne_bytes([1, 0]) == 1 { Self::Little } else { Self::Big };

    /// Four bytes as a number.
    pub fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    /// A number as four bytes.
    pub fn u32_bytes(self, number: u32) -> [u8; 4] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }

    /// Two bytes as a number.
    pub fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    /// A number as two bytes.
    pub fn u16_bytes(self, number: u16) -> [u8; 2] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }
}

/// Appends the words that a file of `kind` begins with.
pub fn push_head(out: &mut Vec<u8>, kind: &Kind, order: Order) {
    let words: &[u32] = match kind.head {
        Head::Raw => &[],
        Head::Bare(magic) => &[magic],
        Head::Common(magic) => &[COMMON_MAGIC, magic],
        Head::Service(magic) => &[SERVICE_MAGIC, magic],
    };
    for word in words {
        out.extend(order.u32_bytes(*word));
    }
}

/// Appends an entry. False if it is too long to be read again ([`MAX_ENTRY`]); nothing is appended then.
pub fn push_entry(out: &mut Vec<u8>, message: &impl Message, order: Order) -> bool {
    let len = message.encoded_len();
    let Some(size) = u32::try_from(len).ok().filter(|size| u64::from(*size) <= MAX_ENTRY) else { return false };
    out.reserve(4 + len);
    out.extend(order.u32_bytes(size));
    message.encode_raw(out);
    true
}

/// Reads an image file entry by entry. Its head has been read and found right.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    file: PathBuf,
    kind: &'static Kind,
    order: Order,
    size: u64,
    offset: u64,
    buffer: Vec<u8>,
}

impl<R: Read> Reader<R> {
    /// Begins to read `input`, which is the file `file` of `size` bytes and of whatever kind its head says.
    pub fn detect(input: R, file: &Path, size: u64) -> Result<Self> {
        let mut reader = Self {
            input,
            file: file.to_path_buf(),
            kind: kinds::INVENTORY.kind(),
            order: Order::Little,
            size,
            offset: 0,
            buffer: Vec::new(),
        };
        let first = reader.word("the magic")?;
        let magic = |found| ImageError::Magic { file: file.to_path_buf(), expected: "an image", found };
        for order in [Order::Little, Order::Big] {
            reader.order = order;
            let word = order.u32(first.to_le_bytes());
            let head: fn(u32) -> Head = match word {
                COMMON_MAGIC => Head::Common,
                SERVICE_MAGIC => Head::Service,
                _ => match kinds::by_head(Head::Bare(word)) {
                    Some(kind) => return Ok(Self { kind, ..reader }),
                    None => continue,
                },
            };
            let second = reader.word("the magic")?;
            let kind = kinds::by_head(head(second)).ok_or_else(|| magic(second))?;
            return Ok(Self { kind, ..reader });
        }
        Err(magic(first))
    }

    /// Begins to read `input`, which is the file `file` of `size` bytes and must be of `kind`.
    pub fn new(input: R, file: &Path, size: u64, kind: &'static Kind) -> Result<Self> {
        let reader = match Self::detect(input, file, size) {
            Err(ImageError::Magic { file, found, .. }) => {
                return Err(ImageError::Magic { file, expected: kind.magic, found });
            }
            other => other?,
        };
        if reader.kind.head != kind.head {
            let (Head::Bare(found) | Head::Common(found) | Head::Service(found)) = reader.kind.head else {
                return Err(reader.invalid("a raw file cannot be read by entries"));
            };
            return Err(ImageError::Magic { file: reader.file, expected: kind.magic, found });
        }
        Ok(Self { kind, ..reader })
    }

    /// The kind of the file.
    pub fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// Byte order of its framing words.
    pub fn order(&self) -> Order {
        self.order
    }

    /// The file as named in errors.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes not yet read.
    pub fn left(&self) -> u64 {
        self.size - self.offset
    }

    /// An error about what was just read.
    pub fn invalid(&self, what: impl Into<String>) -> ImageError {
        ImageError::invalid(&self.file, self.offset, what)
    }

    /// The next entry as the message `M`; `None` at the end of the file.
    pub fn entry<M: Message + ProstName + Default>(&mut self) -> Result<Option<M>> {
        let Some(size) = self.frame()? else { return Ok(None) };
        let offset = self.offset;
        let mut buffer = std::mem::take(&mut self.buffer);
        self.fill(&mut buffer, size, "an entry")?;
        let message = M::decode(buffer.as_slice()).map_err(|source| ImageError::Decode {
            file: self.file.clone(),
            offset,
            message: M::NAME.to_owned(),
            source,
        })?;
        if let Some(missing) = required::missing(M::NAME, &buffer) {
            return Err(ImageError::invalid(&self.file, offset, missing));
        }
        self.buffer = buffer;
        Ok(Some(message))
    }

    /// The bytes of the next entry's message; `None` at the end of the file.
    pub fn next_bytes(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(size) = self.frame()? else { return Ok(None) };
        let mut bytes = Vec::new();
        self.fill(&mut bytes, size, "an entry")?;
        Ok(Some(bytes))
    }

    /// `size` bytes of payload.
    pub fn payload(&mut self, size: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.fill(&mut bytes, size, "a payload")?;
        Ok(bytes)
    }

    /// Passes `size` bytes of payload to `sink` without holding them all in memory. `Ok(Err)` is an error of the sink.
    pub fn copy_payload(&mut self, size: u64, sink: &mut impl io::Write) -> Result<io::Result<()>> {
        self.check_left(size, "a payload")?;
        let mut buffer = vec![0; size.min(128 << 10) as usize];
        let end = self.offset + size;
        while self.offset < end {
            let piece = (buffer.len() as u64).min(end - self.offset) as usize;
            self.exact(&mut buffer[..piece], "a payload")?;
            if let Err(error) = sink.write_all(&buffer[..piece]) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    /// One framing word.
    pub fn word(&mut self, what: &'static str) -> Result<u32> {
        let mut word = [0; 4];
        self.exact(&mut word, what)?;
        Ok(self.order.u32(word))
    }

    /// The size of the next entry, checked against what is left; `None` at the end of the file.
    fn frame(&mut self) -> Result<Option<u64>> {
        if self.left() == 0 {
            return Ok(None);
        }
        let size = u64::from(self.word("the size of an entry")?);
        if size > MAX_ENTRY {
            return Err(self.invalid(format!("an entry of {size} bytes is longer than any can be")));
        }
        Ok(Some(size))
    }

    fn check_left(&self, need: u64, what: &'static str) -> Result<()> {
        let left = self.left();
        if need <= left {
            return Ok(());
        }
        Err(ImageError::Truncated { file: self.file.clone(), offset: self.offset, what, need, left })
    }

    fn exact(&mut self, buffer: &mut [u8], what: &'static str) -> Result<()> {
        self.check_left(buffer.len() as u64, what)?;
        self.input.read_exact(buffer).map_err(|e| ImageError::io("read", &self.file, e))?;
        self.offset += buffer.len() as u64;
        Ok(())
    }

    /// Replaces `buffer` by the next `size` bytes; it grows as they come, not as the file promises.
    fn fill(&mut self, buffer: &mut Vec<u8>, size: u64, what: &'static str) -> Result<()> {
        self.check_left(size, what)?;
        buffer.clear();
        let got = (&mut self.input).take(size).read_to_end(buffer);
        let got = got.map_err(|e| ImageError::io("read", &self.file, e))? as u64;
        if got < size {
            let source = io::Error::from(io::ErrorKind::UnexpectedEof);
            return Err(ImageError::io("read", &self.file, source));
        }
        self.offset += size;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::proto::{PipeDataEntry, PstreeEntry};
    use super::*;
    use crate::image::kinds::{INVENTORY, PIPES_DATA, PSTREE, STATS};

    fn pstree(order: Order) -> Vec<u8> {
        let mut out = Vec::new();
        push_head(&mut out, PSTREE.kind(), order);
        for pid in [7, 8] {
            let entry = PstreeEntry { pid, ppid: pid - 7, pgid: 7, sid: 7, threads: vec![pid] };
            assert!(push_entry(&mut out, &entry, order));
        }
        out
    }

    fn read(bytes: &[u8], kind: &'static Kind) -> Result<Vec<PstreeEntry>> {
        let mut reader = Reader::new(bytes, Path::new("pstree.img"), bytes.len() as u64, kind)?;
        let mut entries = Vec::new();
        while let Some(entry) = reader.entry()? {
            entries.push(entry);
        }
        Ok(entries)
    }

    #[test]
    fn both_byte_orders_are_read() {
        for order in [Order::Little, Order::Big] {
            let pids: Vec<_> = read(&pstree(order), PSTREE.kind()).unwrap().iter().map(|e| e.pid).collect();
            assert_eq!(pids, [7, 8], "{order:?}");
        }
    }

    #[test]
    fn every_cut_is_noticed_or_ends_between_entries() {
        let whole = pstree(Order::Little);
        let entry = (whole.len() - 8) / 2;
        for cut in 0..whole.len() {
            match read(&whole[..cut], PSTREE.kind()) {
                Ok(entries) => assert!(cut >= 8 && (cut - 8) % entry == 0, "{cut}: {entries:?}"),
                Err(ImageError::Truncated { offset, need, left, .. }) => {
                    assert!(need > left && offset + left == cut as u64, "{cut}")
                }
                Err(other) => panic!("{cut}: {other}"),
            }
        }
    }

    #[test]
    fn wrong_magics_are_named() {
        let error = read(&pstree(Order::Little), INVENTORY.kind()).unwrap_err();
        assert_eq!(error.to_string(), "pstree.img is not INVENTORY: its magic is 0x50273030");
        let mut bytes = pstree(Order::Little);
        bytes[0] ^= 1;
        assert!(matches!(read(&bytes, PSTREE.kind()), Err(ImageError::Magic { found: 0x5456_4318, .. })));
        let mut bytes = pstree(Order::Little);
        bytes[7] ^= 1;
        assert!(matches!(read(&bytes, PSTREE.kind()), Err(ImageError::Magic { found: 0x5127_3030, .. })));
        assert!(matches!(read(&pstree(Order::Little), STATS.kind()), Err(ImageError::Magic { .. })));
    }

    #[test]
    fn a_size_past_the_end_allocates_nothing() {
        let mut bytes = pstree(Order::Little);
        bytes[8..12].copy_from_slice(&(MAX_ENTRY as u32).to_le_bytes());
        assert!(matches!(read(&bytes, PSTREE.kind()), Err(ImageError::Truncated { need: MAX_ENTRY, .. })));
        bytes[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(read(&bytes, PSTREE.kind()), Err(ImageError::Invalid { .. })));
    }

    #[test]
    fn payloads_are_bounded_by_the_file() {
        let mut bytes = Vec::new();
        push_head(&mut bytes, PIPES_DATA.kind(), Order::Little);
        assert!(push_entry(&mut bytes, &PipeDataEntry { pipe_id: 1, bytes: 6, size: None }, Order::Little));
        bytes.extend(b"stasi");
        let mut reader = Reader::detect(bytes.as_slice(), Path::new("p"), bytes.len() as u64).unwrap();
        let entry: PipeDataEntry = reader.entry().unwrap().unwrap();
        assert!(matches!(reader.payload(entry.bytes.into()), Err(ImageError::Truncated { need: 6, left: 5, .. })));
        let mut copied = Vec::new();
        reader.copy_payload(5, &mut copied).unwrap().unwrap();
        assert_eq!(copied, b"stasi");
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = read(&bytes, PSTREE.kind());
            let mut head = Vec::new();
            push_head(&mut head, PSTREE.kind(), Order::Little);
            head.extend(&bytes);
            let _ = read(&head, PSTREE.kind());
        }
    }
}
