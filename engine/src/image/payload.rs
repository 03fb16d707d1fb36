//! Payloads as JSON: the `extra` member of an entry, in base64 or as lists, and the way back.

use std::io::{self, Read};

use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::{Map, Value as Json, json};

use super::base64;
use super::error::{ImageError, Result};
use super::framing::{Order, Reader, push_entry};
use super::kinds::Payload;
use super::reflect::{flag, from_json, message, number, to_json, wrong};

/// Key of the payload in an entry's object.
pub(super) const EXTRA: &str = "extra";
/// Payloads longer than this, in bytes, are shown by their size alone.
const SHOWN: u64 = 64 << 20;

/// Reads what stands after `entry`; `None` if nothing does.
pub(super) fn read<R: Read>(reader: &mut Reader<R>, entry: &DynamicMessage) -> Result<Option<Json>> {
    Ok(Some(match reader.kind().payload {
        Payload::None => return Ok(None),
        Payload::Bytes(field) => blob(reader, number(entry, field))?,
        Payload::TcpQueues => json!({
            "inq": blob(reader, number(entry, "inq_len"))?,
            "outq": blob(reader, number(entry, "outq_len"))?,
        }),
        Payload::BpfMap => json!({
            "keys": blob(reader, number(entry, "keys_bytes"))?,
            "values": blob(reader, number(entry, "values_bytes"))?,
        }),
        Payload::Ghost if flag(entry, "chunks") => pieces(reader)?,
        Payload::Ghost if reader.left() == 0 => return Ok(None),
        Payload::Ghost => blob(reader, reader.left())?,
        Payload::Segment if flag(entry, "in_pagemaps") => return Ok(None),
        Payload::Segment => {
            let size = number(entry, "size");
            let segment = blob(reader, size)?;
            reader.payload(padding(size, 4))?;
            segment
        }
        Payload::Semaphores => semaphores(reader, number(entry, "nsems"))?,
        Payload::Messages => (0..number(entry, "qnum")).map(|_| queued(reader)).collect::<Result<_>>()?,
    }))
}

/// `size` bytes in base64, or their number if they are too many to be looked at.
fn blob<R: Read>(reader: &mut Reader<R>, size: u64) -> Result<Json> {
    if size <= SHOWN {
        return Ok(base64::encode(&reader.payload(size)?).into());
    }
    let sunk = reader.copy_payload(size, &mut io::sink())?;
    sunk.map_err(|e| ImageError::io("read", reader.file(), e))?;
    Ok(json!({ "size": size }))
}

/// Bytes missing to a multiple of `to`.
fn padding(size: u64, to: u64) -> u64 {
    (to - size % to) % to
}

/// The next frame as a message of another kind than the file's entries.
fn framed<R: Read>(reader: &mut Reader<R>, name: &str) -> Result<Option<DynamicMessage>> {
    let offset = reader.offset() + 4;
    let Some(bytes) = reader.next_bytes()? else { return Ok(None) };
    let decoded = DynamicMessage::decode(known(name)?, bytes.as_slice());
    let file = reader.file().to_path_buf();
    decoded.map(Some).map_err(|source| ImageError::Decode { file, offset, message: name.to_owned(), source })
}

/// A descriptor of a message that the table of payloads names.
fn known(name: &str) -> Result<MessageDescriptor> {
    message(name).ok_or_else(|| wrong(name, "a message of the image format"))
}

fn pieces<R: Read>(reader: &mut Reader<R>) -> Result<Json> {
    let mut pieces = Vec::new();
    while let Some(piece) = framed(reader, "ghost_chunk_entry")? {
        let mut object = to_json(&piece);
        object.insert(EXTRA.to_owned(), blob(reader, number(&piece, "len"))?);
        pieces.push(object);
    }
    Ok(json!(pieces))
}

fn queued<R: Read>(reader: &mut Reader<R>) -> Result<Json> {
    let Some(message) = framed(reader, "ipc_msg")? else {
        return Err(reader.invalid("a message is missing"));
    };
    let size = number(&message, "msize");
    let mut object = to_json(&message);
    object.insert(EXTRA.to_owned(), blob(reader, size)?);
    reader.payload(padding(size, 8))?;
    Ok(Json::Object(object))
}

fn semaphores<R: Read>(reader: &mut Reader<R>, count: u64) -> Result<Json> {
    let order = reader.order();
    let bytes = reader.payload(2 * count)?;
    reader.payload(padding(2 * count, 8))?;
    Ok(bytes.as_chunks().0.iter().map(|word| order.u16(*word)).collect())
}

/// An image in the making, for the way back.
pub(super) struct Sink<'o> {
    /// The file so far.
    pub(super) out: &'o mut Vec<u8>,
    /// Byte order of its framing words.
    pub(super) order: Order,
}

impl Sink<'_> {
    /// Appends an entry; `at` is where it stands in the JSON, for errors.
    pub(super) fn entry(&mut self, entry: &DynamicMessage, at: &str) -> Result<()> {
        if push_entry(self.out, entry, self.order) { Ok(()) } else { Err(wrong(at, "shorter")) }
    }

    /// Appends what stands after `entry`, whose object has `extra`.
    pub(super) fn payload(&mut self, form: Payload, entry: &DynamicMessage, extra: &Extra) -> Result<()> {
        let len = |field| Some(number(entry, field));
        match form {
            Payload::Ghost if flag(entry, "chunks") => self.framed(extra, "ghost_chunk_entry", "len", 1),
            Payload::Ghost if extra.value.is_none() => Ok(()),
            Payload::Ghost => self.blob(extra, None, 1),
            Payload::Segment if flag(entry, "in_pagemaps") => extra.refuse(),
            Payload::None => extra.refuse(),
            Payload::Bytes(field) => self.blob(extra, len(field), 1),
            Payload::TcpQueues => {
                self.blob(&extra.member("inq"), len("inq_len"), 1)?;
                self.blob(&extra.member("outq"), len("outq_len"), 1)
            }
            Payload::BpfMap => {
                self.blob(&extra.member("keys"), len("keys_bytes"), 1)?;
                self.blob(&extra.member("values"), len("values_bytes"), 1)
            }
            Payload::Segment => self.blob(extra, len("size"), 4),
            Payload::Semaphores => self.semaphores(extra, number(entry, "nsems")),
            Payload::Messages => {
                extra.count(number(entry, "qnum"))?;
                self.framed(extra, "ipc_msg", "msize", 8)
            }
        }
    }

    /// Appends base64 text as bytes, of which there must be `len`, padded to a multiple of `pad`.
    fn blob(&mut self, extra: &Extra, len: Option<u64>, pad: u64) -> Result<()> {
        let text = extra.value.and_then(Json::as_str);
        let bytes = text.and_then(base64::decode).ok_or_else(|| wrong(&extra.at, "base64 text"))?;
        let found = bytes.len() as u64;
        if len.is_some_and(|len| len != found) {
            let what = format!("these are {found} bytes, the entry says {}", len.unwrap_or_default());
            return Err(ImageError::Json { at: extra.at.clone(), what });
        }
        self.out.extend(bytes);
        self.out.extend(std::iter::repeat_n(0, padding(found, pad) as usize));
        Ok(())
    }

    /// Appends a list of objects as entries of the message `name`, each with bytes of its own.
    fn framed(&mut self, extra: &Extra, name: &str, len: &str, pad: u64) -> Result<()> {
        for (i, value) in extra.list()?.iter().enumerate() {
            let at = format!("{}[{i}]", extra.at);
            let mut object: Map<_, _> = value.as_object().ok_or_else(|| wrong(&at, "an object"))?.clone();
            let bytes = object.shift_remove(EXTRA);
            let entry = from_json(known(name)?, &object, &at)?;
            self.entry(&entry, &at)?;
            let inner = Extra { value: bytes.as_ref(), at: format!("{at}.{EXTRA}") };
            self.blob(&inner, Some(number(&entry, len)), pad)?;
        }
        Ok(())
    }

    fn semaphores(&mut self, extra: &Extra, count: u64) -> Result<()> {
        extra.count(count)?;
        for value in extra.list()? {
            let word = value.as_u64().and_then(|v| u16::try_from(v).ok());
            self.out.extend(self.order.u16_bytes(word.ok_or_else(|| wrong(&extra.at, "numbers below 65536"))?));
        }
        self.out.extend(std::iter::repeat_n(0, padding(2 * count, 8) as usize));
        Ok(())
    }
}

/// The `extra` member of an entry's object, or one of its own members.
pub(super) struct Extra<'j> {
    /// The value; `None` if it is absent.
    pub(super) value: Option<&'j Json>,
    /// Where it stands, for errors.
    pub(super) at: String,
}

impl<'j> Extra<'j> {
    fn member(&self, name: &str) -> Extra<'j> {
        Extra { value: self.value.and_then(|v| v.get(name)), at: format!("{}.{name}", self.at) }
    }

    fn refuse(&self) -> Result<()> {
        if self.value.is_none() { Ok(()) } else { Err(wrong(&self.at, "absent")) }
    }

    fn list(&self) -> Result<&'j [Json]> {
        self.value.and_then(Json::as_array).map(Vec::as_slice).ok_or_else(|| wrong(&self.at, "a list"))
    }

    fn count(&self, expected: u64) -> Result<()> {
        if self.list()?.len() as u64 == expected {
            return Ok(());
        }
        Err(wrong(&self.at, &format!("a list of {expected}, as the entry says")))
    }
}
