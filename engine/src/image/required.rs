//! Required fields: the decoder takes an absent one for 0, which no restore may build on.

/// What is required of a message. The table is generated from `engine/image/*.proto`, in ascending order of names.
struct Shape {
    name: &'static str,
    /// Bit `n` for field number `n`.
    required: u64,
    /// Numbers and names of the required fields.
    names: &'static [(u32, &'static str)],
    /// Numbers of the fields that are messages, with the index of theirs.
    nested: &'static [(u32, usize)],
}

include!(concat!(env!("OUT_DIR"), "/shapes.rs"));

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// What a required field is missing from, as text; `None` if all are there. `bytes` must have been decoded
/// as the message `name` before: what is not well-formed is not complained of here.
pub(super) fn missing(name: &str, bytes: &[u8]) -> Option<String> {
    let shape = SHAPES.binary_search_by(|shape| shape.name.cmp(name)).ok()?;
    check(shape, bytes)
}

fn check(shape: usize, mut bytes: &[u8]) -> Option<String> {
    let shape = SHAPES.get(shape)?;
    let mut seen = 0;
    while let Some(key) = varint(&mut bytes) {
        let number = u32::try_from(key >> 3).ok()?;
        seen |= 1u64.checked_shl(number).unwrap_or_default();
        match key & 7 {
            VARINT => _ = varint(&mut bytes)?,
            FIXED64 => bytes = bytes.get(8..)?,
            FIXED32 => bytes = bytes.get(4..)?,
            LENGTH => {
                let len = usize::try_from(varint(&mut bytes)?).ok()?;
                let (inner, rest) = bytes.split_at_checked(len)?;
                bytes = rest;
                let nested = shape.nested.iter().find(|(field, _)| *field == number);
                if let Some(what) = nested.and_then(|(_, shape)| check(*shape, inner)) {
                    return Some(what);
                }
            }
            _ => return None, // groups, which no image has
        }
    }
    let absent = shape.required & !seen;
    if absent == 0 {
        return None;
    }
    let name = shape.names.iter().find(|(field, _)| *field == absent.trailing_zeros()).map_or("", |(_, name)| name);
    Some(format!("{} lacks its {name}", shape.name))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::proto::*;
    use super::*;
    use prost::Message as _;

    #[test]
    fn whole_messages_lack_nothing() {
        let file = RegFileEntry { name: vec![b'x'; 300], build_id: vec![1; 5], ..Default::default() };
        let file = FileEntry { id: 1, reg: Some(file), ..Default::default() };
        assert_eq!(missing("file_entry", &file.encode_to_vec()), None);
        assert_eq!(missing("seccomp_entry", &[]), None);
        assert_eq!(missing("stasis_manifest_entry", &StasisManifestEntry::default().encode_to_vec()), None);
    }

    #[test]
    fn missing_fields_are_named() {
        assert_eq!(missing("file_entry", &[]).unwrap(), "file_entry lacks its type");
        assert_eq!(missing("file_entry", &[0x08, 1]).unwrap(), "file_entry lacks its id");
        // type, id, an eventfd without anything
        assert_eq!(missing("file_entry", &[0x08, 6, 0x10, 1, 0x42, 0]).unwrap(), "eventfd_file_entry lacks its id");
        // as an unknown field of fixed size, a length in two bytes
        assert_eq!(
            missing("fs_entry", &[0x79, 1, 2, 3, 4, 5, 6, 7, 8, 8, 0x80, 1]).unwrap(),
            "fs_entry lacks its root_id"
        );
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(which: proptest::sample::Index, bytes: Vec<u8>) {
            let _ = check(which.index(SHAPES.len()), &bytes);
        }
    }
}
