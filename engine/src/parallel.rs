//! Work on many items by all cores, where there are so many that starting the threads pays. Nothing here may use
//! ptrace, which the kernel binds to one thread.

use crate::error::Result;
use rayon::prelude::*;

/// Fewer items than this take less time than waking a thread.
const WORTH_THREADS: usize = 48;

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

#[cfg(test)]
mod tests {
    use super::map;
    use crate::error::Error;

    #[test]
    fn results_keep_their_order_whatever_their_number() {
        for count in [0u32, 1, 47, 48, 1000] {
            let items: Vec<u32> = (0..count).collect();
            let doubled = map(&items, |n| Ok(n * 2)).expect("no item fails");
            assert!(doubled.iter().zip(&items).all(|(d, n)| *d == n * 2) && doubled.len() == items.len());
        }
    }

    #[test]
    fn an_error_is_the_result() {
        let items: Vec<u32> = (0..1000).collect();
        assert!(map(&items, |n| if *n == 777 { Err(Error::state("777")) } else { Ok(()) }).is_err());
    }
}
