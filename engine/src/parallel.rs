//! Work on many items by all cores, where there are so many that starting the threads pays. Nothing here may use
//! ptrace, which the kernel binds to one thread.

use crate::error::Result;
use rayon::prelude::*;

/// Fewer items than this take less time than waking a thread.
const WORTH_THREADS: usize = 48;
/// Fewer bytes than this are copied or checked in less time than it takes to start the threads.
const WORTH_BYTES: u64 = 2 << 20;

/// The results of `work` on every item, in their order.
///
/// # Errors
/// The first error that `work` returned; the rest may not have been tried.
pub fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> Result<R> + Sync + Send) -> Result<Vec<R>> {
    match items.len() {
        0..WORTH_THREADS => items.iter().map(work).collect(),
        _ => items.par_iter().with_min_len(8).map(work).collect(),
    }
}

/// The same for work that takes as long as reading so many `bytes` altogether, however many the items are.
///
/// # Errors
/// As [`map`].
pub fn map_bytes<'a, T, R, E>(
    items: &'a [T],
    bytes: u64,
    work: impl Fn(&'a T) -> Result<R, E> + Sync + Send,
) -> Result<Vec<R>, E>
where
    T: Sync,
    R: Send,
    E: Send,
{
    match is_worth_threads(bytes) {
        false => items.iter().map(work).collect(),
        true => items.par_iter().map(work).collect(),
    }
}

/// Whether work on so many bytes is done sooner with the help of other threads.
pub fn is_worth_threads(bytes: u64) -> bool {
    bytes >= WORTH_BYTES
}

#[cfg(test)]
mod tests {
    use super::{WORTH_BYTES, map, map_bytes};
    use crate::error::{Error, Result};

    #[test]
    fn results_keep_their_order_whatever_their_number() {
        for count in [0u32, 1, 47, 48, 1000] {
            let items: Vec<u32> = (0..count).collect();
            let doubled = map(&items, |n| Ok(n * 2)).expect("no item fails");
            assert!(doubled.iter().zip(&items).all(|(d, n)| *d == n * 2) && doubled.len() == items.len());
            for bytes in [0, WORTH_BYTES] {
                let again: Result<Vec<u32>> = map_bytes(&items, bytes, |n| Ok(n * 2));
                assert_eq!(again.expect("no item fails"), doubled);
            }
        }
    }

    #[test]
    fn an_error_is_the_result() {
        let items: Vec<u32> = (0..1000).collect();
        assert!(map(&items, |n| if *n == 777 { Err(Error::state("777")) } else { Ok(()) }).is_err());
    }
}
