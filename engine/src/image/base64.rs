//! Base64 as MIME has it (RFC 2045): lines of 76 characters, each ended by a newline. The form that crit uses.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes bytes; nothing becomes the empty string.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() / 57 * 77 + 77);
    for line in bytes.chunks(57) {
        for group in line.chunks(3) {
            let byte = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for i in 0..4 {
                let letter = ALPHABET[(bits >> (18 - 6 * i) & 63) as usize];
                text.push(if i > group.len() { '=' } else { letter.into() });
            }
        }
        text.push('\n');
    }
    text
}

/// Decodes text, whatever its lines; `None` if it is not base64.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let letters: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let mut bytes = Vec::with_capacity(letters.len() / 4 * 3);
    let mut groups = letters.chunks(4).peekable();
    while let Some(group) = groups.next() {
        let padding = group.iter().rev().take_while(|b| **b == b'=').count();
        if group.len() != 4 || padding > 2 || padding > 0 && groups.peek().is_some() {
            return None;
        }
        let mut bits = 0;
        for letter in &group[..4 - padding] {
            bits = bits << 6 | value(*letter)?;
        }
        bits <<= 6 * padding;
        if bits & ((1 << (8 * padding)) - 1) != 0 {
            return None;
        }
        bytes.extend(&bits.to_be_bytes()[1..4 - padding]);
    }
    Some(bytes)
}

fn value(letter: u8) -> Option<u32> {
    let value = match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert_eq!(encode(b"stasis"), "c3Rhc2lz\n");
        assert_eq!(encode(b"ab"), "YWI=\n");
        assert_eq!(encode(b"a"), "YQ==\n");
        assert_eq!(encode(b""), "");
        assert_eq!(encode(&[0; 58]).lines().map(str::len).collect::<Vec<_>>(), [76, 4]);
    }

    #[test]
    fn what_is_not_base64_is_refused() {
        for text in ["YQ", "YQ=", "YQ=a", "YQ==YQ==", "=", "====", "Y?==", "YR=="] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn there_and_back(bytes: Vec<u8>) {
            proptest::prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn any_text_is_survived(text: String) {
            let _ = decode(&text);
        }
    }
}
