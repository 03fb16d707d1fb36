//! The statistics that an engine leaves beside its images (`stats-dump`): how long the tree was frozen.
//!
//! The file is two magic numbers, a length and a protobuf message `stats_entry { dump: 1 { freezing_time: 1,
//! frozen_time: 2, … } }`, times in microseconds. Nothing else of the images is read here.

use std::fs;
use std::path::Path;

const MAGICS: [u32; 2] = [0x5510_5940, 0x5709_3306];

/// Seconds for which the dump that wrote `images` kept the tree from running: from the first stop on, freezing
/// included. None where the engine left no such file.
pub fn frozen(images: &Path) -> Option<f64> {
    parse(&fs::read(images.join("stats-dump")).ok()?)
}

fn parse(file: &[u8]) -> Option<f64> {
    let word = |at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?));
    if [word(0)?, word(4)?] != MAGICS {
        return None;
    }
    let entry = file.get(12..12 + usize::try_from(word(8)?).ok()?)?;
    let dump = fields(entry)?.into_iter().find_map(|(number, value)| match value {
        Value::Bytes(bytes) if number == 1 => Some(bytes),
        _ => None,
    })?;
    let times = fields(dump)?;
    let time = |wanted: u64| {
        times.iter().find_map(|(number, value)| match value {
            Value::Integer(integer) if *number == wanted => Some(*integer as f64 / 1e6),
            _ => None,
        })
    };
    Some(time(1).unwrap_or(0.0) + time(2)?)
}

enum Value<'a> {
    Integer(u64),
    Bytes(&'a [u8]),
}

/// The fields of a protobuf message by their numbers; those of fixed size are left out.
fn fields(mut rest: &[u8]) -> Option<Vec<(u64, Value<'_>)>> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        match key & 7 {
            0 => found.push((key >> 3, Value::Integer(varint(&mut rest)?))),
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                let (bytes, after) = rest.split_at_checked(length)?;
                found.push((key >> 3, Value::Bytes(bytes)));
                rest = after;
            }
            1 => rest = rest.get(8..)?,
            5 => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(found)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_a_dump() {
        let dump = [0x08, 0xe8, 0x07, 0x10, 0xc0, 0x84, 0x3d, 0x18, 0x05];
        let mut file: Vec<u8> = MAGICS.iter().flat_map(|m| m.to_le_bytes()).collect();
        file.extend((dump.len() as u32 + 2).to_le_bytes());
        file.extend([0x0a, dump.len() as u8]);
        file.extend(dump);
        assert_eq!(parse(&file), Some(1.001));
        for end in 0..file.len() {
            assert_eq!(parse(&file[..end]), None, "cut to {end} bytes");
        }
    }
}
