//! Machine code as bytes: constants made of instructions, and a small buffer for what is generated for one thread and
//! written into its process.

/// Generated code, at most [`Code::CAPACITY`] bytes.
#[derive(Clone)]
pub struct Code {
    bytes: [u8; Code::CAPACITY],
    len: usize,
}

impl Code {
    /// No way home of any CPU is longer.
    pub const CAPACITY: usize = 2048;

    /// An empty buffer.
    pub const fn new() -> Code {
        Code { bytes: [0; Code::CAPACITY], len: 0 }
    }

    /// Appends bytes. The generators' output is bounded, so a full buffer is a bug of theirs.
    pub fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// The code so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was generated yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Default for Code {
    fn default() -> Code {
        Code::new()
    }
}

/// Instructions of 32 bits as a little-endian CPU reads them. `BYTES` is four times `WORDS`.
pub const fn little_endian<const WORDS: usize, const BYTES: usize>(words: &[u32; WORDS]) -> [u8; BYTES] {
    assert!(WORDS * 4 == BYTES);
    let mut out = [0; BYTES];
    let mut i = 0;
    while i < BYTES {
        out[i] = words[i / 4].to_le_bytes()[i % 4];
        i += 1;
    }
    out
}

/// The beginning of `code`, as much as leaves room for `end`, which follows.
pub const fn ending<const BYTES: usize>(code: &[u8], end: &[u8]) -> [u8; BYTES] {
    let mut out = [0; BYTES];
    let start = BYTES - end.len();
    let mut i = 0;
    while i < BYTES {
        out[i] = if i < start { code[i] } else { end[i - start] };
        i += 1;
    }
    out
}
