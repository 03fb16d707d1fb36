//! The ring of a context of asynchronous I/O (io_setup(2)): where the kernel leaves what has completed until the program
//! takes it. Its address is the context's name; its layout is `struct aio_ring` of the kernel, which libaio knows too.

use crate::sys;

/// Bytes before the events.
pub const HEADER: u64 = 32;
/// Bytes of a `struct io_event`.
const EVENT: u64 = 32;
const MAGIC: u32 = 0xa10a_10a1;

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Places for events.
    pub places: u32,
    /// The place of the first event that was not taken; the program may write it too.
    pub head: u32,
    /// The place of the next event.
    pub tail: u32,
}

impl Header {
    /// Reads the header of a ring of `len` bytes; `None` if it is none.
    pub fn parse(bytes: &[u8; HEADER as usize], len: u64) -> Option<Header> {
        let word = |n: usize| bytes.as_chunks().0.get(n).map_or(0, |word| u32::from_ne_bytes(*word));
        let places = word(1);
        let fits = u64::from(places) == len.checked_sub(HEADER)? / EVENT && word(7) == HEADER as u32;
        let known = word(4) == MAGIC && places > 1 && word(3) < places;
        (fits && known).then(|| Header { places, head: word(2) % places, tail: word(3) })
    }

    /// How many events were taken and how many were not, since a time when the first place was next.
    pub fn history(&self) -> (u32, u32) {
        (self.head, (self.tail + self.places - self.head) % self.places)
    }
}

/// The smallest number of requests for which io_setup(2) makes a ring of `len` bytes. It makes room for twice as many
/// events and two more, in whole pages (fs/aio.c); where the machine has many CPUs, for more.
pub fn requests(len: u64) -> u32 {
    let smaller = len.saturating_sub(sys::page_size()) / EVENT;
    // The header is one event long.
    (smaller.saturating_sub(1) / 2).max(1) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(words: [u32; 8]) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.as_chunks_mut().0.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_ne_bytes());
        bytes
    }

    #[test]
    fn headers_are_checked() {
        let good = [0, 127, 130, 2, MAGIC, 1, 0, 32];
        let parsed = Header::parse(&header(good), 4096).unwrap();
        assert_eq!(parsed, Header { places: 127, head: 3, tail: 2 });
        assert_eq!(parsed.history(), (3, 126));
        for (at, word) in [(1, 126), (3, 127), (4, 0), (7, 0)] {
            let mut bad = good;
            bad[at] = word;
            assert_eq!(Header::parse(&header(bad), 4096), None, "{bad:?}");
        }
        assert_eq!(Header::parse(&header(good), 8), None);
    }

    #[test]
    fn as_many_requests_as_make_a_ring_of_that_length() {
        let page = sys::page_size();
        let len = |requests: u64| (HEADER + (2 * requests + 2) * EVENT).next_multiple_of(page);
        for pages in 1..40 {
            let asked = u64::from(requests(pages * page));
            assert_eq!(len(asked), pages * page, "{asked}");
            assert!(asked == 1 || len(asked - 1) < pages * page, "{asked}");
        }
    }
}
