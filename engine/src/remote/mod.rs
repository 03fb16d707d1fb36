//! Running system calls in another process, and giving it back as it was.
//!
//! [`Seized`] is a traced, stopped thread; dropping it puts its registers and mask back and detaches. A [`Batch`] is a
//! list of calls with their data. [`Injector`] lends a running process a scratch area and runs batches in its threads;
//! at any instant of that, the death of the engine leaves the threads to their ways home.

mod batch;
mod injector;
mod running;
mod seized;

pub use batch::{Batch, Handle};
pub use injector::{Injector, Leftover, Place, STALE_MAGIC};
pub use seized::{Asleep, Seized, runs_32_bit_code};
