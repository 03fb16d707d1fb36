//! JSON as [`super::show`] prints it, turned into an image file again: byte for byte, if it was not changed.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value as Json};

use super::error::{ImageError, Result};
use super::framing::{Order, push_head};
use super::kinds;
use super::payload::{EXTRA, Extra, Sink};
use super::reflect::{from_json, message, wrong};
use super::show::entry_message;

/// The bytes of the image file that `json` stands for. A missing required field, a key that is no field, a value out
/// of range and a payload whose length is not what its entry says are errors that name the place.
pub fn encode(json: &Json) -> Result<Vec<u8>> {
    let magic = json.get("magic").and_then(Json::as_str).unwrap_or_default();
    let kind = kinds::by_magic_name(magic).ok_or_else(|| wrong("magic", "the name of a kind of image"))?;
    let order = match json.get("byte_order").and_then(Json::as_str) {
        None => Order::Little,
        Some("big") => Order::Big,
        Some(_) => return Err(wrong("byte_order", "\"big\" or absent")),
    };
    let entries = json.get("entries").and_then(Json::as_array).ok_or_else(|| wrong("entries", "a list"))?;
    let mut out = Vec::new();
    push_head(&mut out, kind, order);
    let mut sink = Sink { out: &mut out, order };
    for (i, value) in entries.iter().enumerate() {
        let at = format!("entries[{i}]");
        let mut object: Map<_, _> = value.as_object().ok_or_else(|| wrong(&at, "an object"))?.clone();
        let extra = object.shift_remove(EXTRA);
        let name = entry_message(kind, i == 0);
        let descriptor = message(name).ok_or_else(|| wrong(&at, "an entry of a known message"))?;
        let entry = from_json(descriptor, &object, &at)?;
        sink.entry(&entry, &at)?;
        let extra = Extra { value: extra.as_ref(), at: format!("{at}.{EXTRA}") };
        sink.payload(kind.payload, &entry, &extra)?;
    }
    Ok(out)
}

/// Writes the image file that `json` stands for. A manifest beside it is not changed ([`super::out::reseal`] does).
pub fn write_file(path: &Path, json: &Json) -> Result<()> {
    fs::write(path, encode(json)?).map_err(|e| ImageError::io("write", path, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn error(json: Json) -> String {
        encode(&json).unwrap_err().to_string()
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let fs = |entry: Json| error(json!({ "magic": "FS", "entries": [entry] }));
        assert_eq!(fs(json!({ "cwd_id": 1 })), "entries[0]: the field root_id is missing");
        assert_eq!(fs(json!({ "cwd_id": 1, "root_id": 2, "mask": 0 })), "entries[0].mask: fs_entry has no such field");
        assert_eq!(
            fs(json!({ "cwd_id": -1, "root_id": 2 })),
            "entries[0].cwd_id: this must be a whole number in the range of its type"
        );
        let pipe = |extra: Json| {
            let entry = json!({ "pipe_id": 1, "bytes": 6, "extra": extra });
            error(json!({ "magic": "PIPES_DATA", "entries": [entry] }))
        };
        assert_eq!(pipe(json!("c3Rhc2k=\n")), "entries[0].extra: these are 5 bytes, the entry says 6");
        assert_eq!(pipe(json!("?")), "entries[0].extra: this must be base64 text");
        assert_eq!(pipe(json!({ "size": 6 })), "entries[0].extra: this must be base64 text");
        assert_eq!(error(json!({ "magic": "RAW" })), "magic: this must be the name of a kind of image");
        assert_eq!(error(json!(3)), "magic: this must be the name of a kind of image");
        assert_eq!(error(json!({ "magic": "FS" })), "entries: this must be a list");
        let fdinfo = json!({ "magic": "FDINFO", "entries": [{ "id": 1, "flags": 0, "type": "REGULAR", "fd": 0 }] });
        assert_eq!(error(fdinfo), "entries[0].type: this must be a name or number of fd_types");
    }
}
