//! CRC32C of files that several threads write or read in pieces.

use std::sync::Mutex;

/// The reversed Castagnoli polynomial; bit 31 stands for x^0.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The product of two polynomials modulo [`POLYNOMIAL`].
const fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = 1 << 31;
    while bit != 0 {
        if a & bit != 0 {
            product ^= b;
        }
        b = (b >> 1) ^ if b & 1 != 0 { POLYNOMIAL } else { 0 };
        bit >>= 1;
    }
    product
}

/// Element `n` is x^(8 · 2^n): what 2^n bytes of zeros multiply a checksum by.
const ZEROS: [u32; 64] = {
    let mut powers = [0; 64];
    let mut power = 1 << (31 - 8);
    let mut n = 0;
    while n < powers.len() {
        powers[n] = power;
        power = multiply(power, power);
        n += 1;
    }
    powers
};

/// The checksum of two pieces from that of each; `second_len` is the length of the second in bytes.
pub fn combine(first: u32, second: u32, second_len: u64) -> u32 {
    let zeros = (0..u64::BITS).filter(|n| second_len >> n & 1 != 0);
    zeros.fold(first, |crc, n| multiply(ZEROS[n as usize], crc)) ^ second
}

/// Collects checksums of the pieces of one file from several threads, in any order.
#[derive(Debug, Default)]
pub struct ChunkSums {
    chunks: Mutex<Vec<(u64, u64, u32)>>,
}

impl ChunkSums {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes the bytes at `offset` of the file, while they are in the cache.
    pub fn add(&self, offset: u64, bytes: &[u8]) {
        self.add_sum(offset, bytes.len() as u64, crc32c::crc32c(bytes));
    }

    /// Notes the checksum `crc` of `len` bytes at `offset` of the file.
    pub fn add_sum(&self, offset: u64, len: u64, crc: u32) {
        if len > 0 {
            self.chunks.lock().unwrap_or_else(|e| e.into_inner()).push((offset, len, crc));
        }
    }

    /// The checksum of the first `size` bytes of the file; `None` unless the pieces cover them exactly once.
    pub fn finish(self, size: u64) -> Option<u32> {
        let mut chunks = self.chunks.into_inner().unwrap_or_else(|e| e.into_inner());
        chunks.sort_unstable();
        let (mut end, mut sum) = (0u64, 0);
        for (offset, len, crc) in chunks {
            if offset != end {
                return None;
            }
            end = end.checked_add(len)?;
            sum = combine(sum, crc, len);
        }
        (end == size).then_some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_check_value() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(combine(crc32c::crc32c(b"1234"), crc32c::crc32c(b"56789"), 5), 0xe306_9283);
    }

    #[test]
    fn gaps_and_overlaps_are_noticed() {
        let sums = |pieces: &[(u64, &[u8])]| {
            let sums = ChunkSums::new();
            pieces.iter().for_each(|(offset, bytes)| sums.add(*offset, bytes));
            sums
        };
        let whole = Some(crc32c::crc32c(b"abcdef"));
        assert_eq!(sums(&[(4, b"ef"), (0, b"abcd")]).finish(6), whole);
        assert_eq!(sums(&[(4, b"ef"), (0, b"abcd"), (2, b"")]).finish(6), whole);
        assert_eq!(sums(&[(4, b"ef"), (0, b"abc")]).finish(6), None);
        assert_eq!(sums(&[(4, b"ef"), (0, b"abcde")]).finish(6), None);
        assert_eq!(sums(&[(0, b"abcd")]).finish(6), None);
        assert_eq!(sums(&[]).finish(0), Some(0));
    }

    proptest::proptest! {
        #[test]
        fn combining_is_the_sum_of_the_whole(a: Vec<u8>, b: Vec<u8>) {
            let whole = [a.as_slice(), b.as_slice()].concat();
            let sum = combine(crc32c::crc32c(&a), crc32c::crc32c(&b), b.len() as u64);
            proptest::prop_assert_eq!(sum, crc32c::crc32c(&whole));
        }
    }
}
