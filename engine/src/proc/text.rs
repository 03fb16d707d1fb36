//! A cursor over the lines of a /proc file: numbers, words and fixed marks, each step checked.

use super::error::ParseError;

type Result<T> = std::result::Result<T, ParseError>;

/// The position of the first `byte` in `text`. Eight bytes at a time: most of the time spent on smaps goes here.
pub(super) fn find_byte(text: &[u8], byte: u8) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let pattern = ONES * u64::from(byte);
    let (chunks, rest) = text.as_chunks::<8>();
    for (index, chunk) in chunks.iter().enumerate() {
        let differences = u64::from_le_bytes(*chunk) ^ pattern;
        // The lowest marked byte is the first zero of `differences`; marks above it may be carries.
        let zeros = differences.wrapping_sub(ONES) & !differences & (ONES << 7);
        if zeros != 0 {
            return Some(index * 8 + zeros.trailing_zeros() as usize / 8);
        }
    }
    let done = chunks.len() * 8;
    rest.iter().position(|b| *b == byte).map(|at| done + at)
}

/// Replaces the kernel's octal escapes (`\040`) by the bytes they stand for. Other backslashes stay.
pub(super) fn unescape_octal(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        match rest {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = &rest[4..];
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

/// Undoes the escapes of a name in status: `\n` for a line feed, `\\` for a backslash.
pub(super) fn unescape_name(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.as_slice().first()) {
            (b'\\', Some(b'n')) => {
                out.push(b'\n');
                bytes.next();
            }
            (b'\\', Some(b'\\')) => {
                out.push(b'\\');
                bytes.next();
            }
            _ => out.push(*byte),
        }
    }
    out
}

/// The lines of a text without their line feeds. A last line without one counts; an empty rest does not.
#[derive(Debug, Clone)]
pub(super) struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { rest: text, number: 0 }
    }

    /// An error at the line last returned, or at line 1.
    pub(super) fn error(&self, expected: &'static str, found: &[u8]) -> ParseError {
        ParseError::new(self.number.max(1), expected, found)
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        self.number += 1;
        let (line, rest) = match find_byte(self.rest, b'\n') {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        Some(Line { rest: line, number: self.number })
    }
}

/// What is left of one line, or of a text looked at as one.
#[derive(Debug, Clone)]
pub(super) struct Line<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Line<'a> {
    /// A whole text as its first line.
    pub(super) fn of(text: &'a [u8]) -> Self {
        Self { rest: text, number: 1 }
    }

    /// An error that shows what is left of the line.
    pub(super) fn error(&self, expected: &'static str) -> ParseError {
        ParseError::new(self.number, expected, self.rest)
    }

    /// What is left.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes all that is left.
    pub(super) fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Passes spaces and tabs.
    pub(super) fn blanks(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Passes `mark` where the line goes on with it.
    pub(super) fn skip(&mut self, mark: &[u8]) -> bool {
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Passes `mark`, which must come next.
    pub(super) fn expect(&mut self, mark: &[u8], expected: &'static str) -> Result<()> {
        if self.skip(mark) { Ok(()) } else { Err(self.error(expected)) }
    }

    /// Takes all up to `end`, and passes `end` itself; `None` where it does not come.
    pub(super) fn until(&mut self, end: u8) -> Option<&'a [u8]> {
        let at = find_byte(self.rest, end)?;
        let taken = &self.rest[..at];
        self.rest = &self.rest[at + 1..];
        Some(taken)
    }

    /// Takes all up to the next blank, and passes blanks before and after. Empty at the end of the line.
    pub(super) fn word(&mut self) -> &'a [u8] {
        self.blanks();
        let end = self.rest.iter().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.blanks();
        word
    }

    /// Takes exactly `N` bytes.
    pub(super) fn take<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N]> {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(self.error(expected)),
        }
    }

    /// Whether only blanks are left.
    pub(super) fn is_done(&self) -> bool {
        self.rest.iter().all(|b| matches!(b, b' ' | b'\t'))
    }

    /// Checks that only blanks are left.
    pub(super) fn end(&self) -> Result<()> {
        if self.is_done() { Ok(()) } else { Err(self.error("the end of the line")) }
    }

    /// A size as the kernel writes it, `12 kB`.
    pub(super) fn kilobytes(&mut self) -> Result<u64> {
        const SIZE: &str = "a size in kB";
        let start = self.clone();
        let size = self.dec(SIZE)?;
        if self.skip(b" kB") { Ok(size) } else { Err(start.error(SIZE)) }
    }

    /// A decimal number after blanks, without a sign.
    pub(super) fn dec<T: TryFrom<u64>>(&mut self, expected: &'static str) -> Result<T> {
        self.number::<10, T>(expected)
    }

    /// A hexadecimal number after blanks, without a prefix.
    pub(super) fn hex<T: TryFrom<u64>>(&mut self, expected: &'static str) -> Result<T> {
        self.number::<16, T>(expected)
    }

    /// An octal number after blanks; leading zeros are allowed.
    pub(super) fn octal<T: TryFrom<u64>>(&mut self, expected: &'static str) -> Result<T> {
        self.number::<8, T>(expected)
    }

    /// A decimal number after blanks, which may be negative.
    pub(super) fn int<T: TryFrom<i64>>(&mut self, expected: &'static str) -> Result<T> {
        self.blanks();
        let start = self.clone();
        let negative = self.skip(b"-");
        // A sign stands right before its digits: `dec` would pass blanks.
        let value = match self.rest.first() {
            Some(b'0'..=b'9') => self.dec::<u64>(expected).ok(),
            _ => None,
        };
        value
            .and_then(|value| if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() })
            .and_then(|value| T::try_from(value).ok())
            .ok_or_else(|| start.error(expected))
    }

    fn number<const BASE: u64, T: TryFrom<u64>>(&mut self, expected: &'static str) -> Result<T> {
        self.blanks();
        let mut value = 0u64;
        let mut used = 0;
        for byte in self.rest {
            let digit = match byte {
                b'0'..=b'9' => u64::from(byte - b'0'),
                b'a'..=b'f' => u64::from(byte - b'a') + 10,
                _ => break,
            };
            if digit >= BASE {
                break;
            }
            value = match value.checked_mul(BASE).and_then(|value| value.checked_add(digit)) {
                Some(value) => value,
                None => return Err(self.error(expected)),
            };
            used += 1;
        }
        let fits = if used == 0 { None } else { T::try_from(value).ok() };
        match fits {
            Some(value) => {
                self.rest = &self.rest[used..];
                Ok(value)
            }
            None => Err(self.error(expected)),
        }
    }
}
