//! A small buffer for machine code that is generated for one thread and written into its process.

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
