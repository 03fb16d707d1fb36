//! Any image file as JSON: `{"magic": …, "entries": […]}`, with the field names of the messages, in the form that
//! crit prints. [`super::edit`] is the way back.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use prost_reflect::DynamicMessage;
use serde_json::{Map, Value as Json, json};

use super::dir::ImageDir;
use super::error::{ImageError, Result};
use super::framing::{Order, Reader};
use super::kinds::{self, Head, Kind};
use super::payload::{self, EXTRA};
use super::reflect::{message, to_json};
use super::summary::Summary;

/// Shows a file. A raw one, which is known by its name, is described by its size.
///
/// A present field is shown even if it has its default value, an absent one never. Bytes and payloads are base64.
pub fn show_file(path: &Path) -> Result<Json> {
    let open = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let input: File = open.map_err(|e| ImageError::io("open", path, e))?;
    let meta = input.metadata().map_err(|e| ImageError::io("stat", path, e))?;
    if !meta.is_file() {
        return Err(ImageError::invalid(path, 0, "not a regular file"));
    }
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    if let Some(kind) = kinds::by_file_name(name).filter(|k| k.head == Head::Raw) {
        return Ok(json!({ "magic": "RAW", "kind": kind.magic, "size": meta.len() }));
    }
    show(BufReader::new(input), path, meta.len())
}

/// Shows a directory on one page.
pub fn show_dir(path: &Path) -> Result<Summary> {
    Summary::read(&ImageDir::open(path)?)
}

/// Shows the framed file `file` of `size` bytes.
pub fn show(input: impl Read, file: &Path, size: u64) -> Result<Json> {
    let mut reader = Reader::detect(input, file, size)?;
    let mut entries = Vec::new();
    while let Some(entry) = next(&mut reader, entries.is_empty())? {
        entries.push(entry);
    }
    let mut value = json!({ "magic": reader.kind().magic, "entries": entries });
    if reader.order() != Order::Little {
        value["byte_order"] = json!("big");
    }
    Ok(value)
}

fn next<R: Read>(reader: &mut Reader<R>, first: bool) -> Result<Option<Map<String, Json>>> {
    let offset = reader.offset() + 4;
    let Some(bytes) = reader.next_bytes()? else { return Ok(None) };
    let name = entry_message(reader.kind(), first);
    let Some(descriptor) = message(name) else { return Err(reader.invalid(format!("{name} is not known"))) };
    let entry = DynamicMessage::decode(descriptor, bytes.as_slice()).map_err(|source| ImageError::Decode {
        file: reader.file().to_path_buf(),
        offset,
        message: name.to_owned(),
        source,
    })?;
    let mut object = to_json(&entry);
    if let Some(extra) = payload::read(reader, &entry)? {
        object.insert(EXTRA.to_owned(), extra);
    }
    Ok(Some(object))
}

/// The message of the first or a later entry.
pub(super) fn entry_message(kind: &Kind, first: bool) -> &'static str {
    kind.first.filter(|_| first).unwrap_or(kind.entry)
}

#[cfg(test)]
mod tests {
    use super::super::edit::encode;
    use super::super::framing::{push_entry, push_head};
    use super::super::kinds::*;
    use super::super::proto::*;
    use super::*;
    use prost::Message;

    /// Shows a file that is made of one entry and a payload, and makes it again.
    fn both_ways<M: Message>(image: &Image<M>, entry: &M, payload: &[u8], order: Order) -> Json {
        let mut bytes = Vec::new();
        push_head(&mut bytes, image.kind(), order);
        assert!(push_entry(&mut bytes, entry, order));
        bytes.extend(payload);
        let json = show(bytes.as_slice(), Path::new("test.img"), bytes.len() as u64).unwrap();
        assert_eq!(encode(&json).unwrap(), bytes, "{json:#}");
        json
    }

    fn ghost(chunks: bool) -> GhostFileEntry {
        GhostFileEntry { mode: 0o100644, chunks: Some(chunks), size: Some(9), ..Default::default() }
    }

    #[test]
    fn every_form_of_payload_goes_both_ways() {
        for order in [Order::Little, Order::Big] {
            let word = |n: u32| order.u32_bytes(n).to_vec();
            let half = |n: u16| order.u16_bytes(n).to_vec();
            let json = both_ways(&GHOST_FILE, &ghost(false), b"contents", order);
            assert_eq!(json["entries"][0]["extra"], "Y29udGVudHM=\n");
            both_ways(&GHOST_FILE, &ghost(false), b"", order);

            let piece = GhostChunkEntry { len: 2, off: 7 }.encode_to_vec();
            let pieces = [word(piece.len() as u32), piece, b"ab".to_vec()].concat();
            let json = both_ways(&GHOST_FILE, &ghost(true), &pieces, order);
            assert_eq!(json["entries"][0]["extra"], json!([{ "len": 2, "off": 7, "extra": "YWI=\n" }]));

            let tcp = TcpStreamEntry { inq_len: 1, outq_len: 2, ..Default::default() };
            let json = both_ways(&TCP_STREAM, &tcp, b"abc", order);
            assert_eq!(json["entries"][0]["extra"], json!({ "inq": "YQ==\n", "outq": "YmM=\n" }));

            let sems = IpcSemEntry { nsems: 3, ..Default::default() };
            let json = both_ways(&IPCNS_SEM, &sems, &[half(1), half(2), half(700), half(0)].concat(), order);
            assert_eq!(json["entries"][0]["extra"], json!([1, 2, 700]));

            let segment = IpcShmEntry { size: 5, ..Default::default() };
            both_ways(&IPCNS_SHM, &segment, b"abcde\0\0\0", order);
            both_ways(&IPCNS_SHM, &IpcShmEntry { in_pagemaps: Some(true), ..segment }, b"", order);

            let message = IpcMsg { mtype: 4, msize: 3 }.encode_to_vec();
            let message = [word(message.len() as u32), message, b"abc\0\0\0\0\0".to_vec()].concat();
            let queue = IpcMsgEntry { qnum: 2, ..Default::default() };
            let json = both_ways(&IPCNS_MSG, &queue, &message.repeat(2), order);
            assert_eq!(json["entries"][0]["extra"][1], json!({ "mtype": 4, "msize": 3, "extra": "YWJj\n" }));

            let map = BpfmapDataEntry { keys_bytes: 2, values_bytes: 1, ..Default::default() };
            both_ways(&BPFMAP_DATA, &map, b"kkv", order);
        }
    }

    #[test]
    fn names_need_not_be_utf8() {
        let file = RegFileEntry { name: b"/tmp/caf\xe9".to_vec(), ..Default::default() };
        let file = FileEntry { r#type: FdTypes::Reg.into(), id: 1, reg: Some(file), ..Default::default() };
        let json = both_ways(&FILES, &file, b"", Order::Little);
        assert_eq!(json["entries"][0]["reg"]["name"], json!({ "base64": "L3RtcC9jYWbp\n" }));
        assert_eq!(json["entries"][0]["type"], "REG");
    }

    #[test]
    fn what_is_not_known_is_kept() {
        let mut bytes = Vec::new();
        push_head(&mut bytes, PSTREE.kind(), Order::Little);
        // pid 1, ppid 0, pgid 1, sid 1, then field 1000 = 5
        let entry = [0x08, 1, 0x10, 0, 0x18, 1, 0x20, 1, 0xc0, 0x3e, 5];
        bytes.extend((entry.len() as u32).to_le_bytes());
        bytes.extend(entry);
        let json = show(bytes.as_slice(), Path::new("pstree.img"), bytes.len() as u64).unwrap();
        assert_eq!(json["entries"][0]["unknown_fields"], "wD4F\n");
        assert_eq!(encode(&json).unwrap(), bytes);
        let mut json = json;
        json["entries"][0]["pid"] = json!(70000);
        let file = FileEntry { r#type: 77, id: 1, ..Default::default() };
        assert_eq!(both_ways(&FILES, &file, b"", Order::Little)["entries"][0]["type"], 77);
    }

    #[test]
    fn an_empty_file_has_no_entries() {
        let mut bytes = Vec::new();
        push_head(&mut bytes, PSTREE.kind(), Order::Little);
        let json = show(bytes.as_slice(), Path::new("pstree.img"), 8).unwrap();
        assert_eq!(json, json!({ "magic": "PSTREE", "entries": [] }));
        assert_eq!(encode(&json).unwrap(), bytes);
    }

    #[test]
    fn every_message_of_the_table_is_known() {
        for kind in all().filter(|k| k.head != Head::Raw) {
            assert!(message(kind.entry).is_some(), "{}", kind.entry);
            assert!(kind.first.is_none_or(|first| message(first).is_some()));
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_entries_never_panic(which: proptest::sample::Index, bytes: Vec<u8>, framed: bool) {
            let kinds: Vec<_> = all().filter(|k| k.head != Head::Raw).collect();
            let mut file = Vec::new();
            push_head(&mut file, kinds[which.index(kinds.len())], Order::Little);
            if framed {
                file.extend((bytes.len() as u32 / 2).to_le_bytes());
            }
            file.extend(&bytes);
            if let Ok(json) = show(file.as_slice(), Path::new("test.img"), file.len() as u64) {
                let _ = encode(&json);
            }
        }
    }
}
