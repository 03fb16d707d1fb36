//! Writing the core images while the tracer goes on asking: making thousands of files takes a file system about as long
//! as asking thousands of threads.

use crate::error::{Error, Result};
use crate::image::proto::CoreEntry;
use crate::image::{NewImageDir, kinds};
use crate::sys::Pid;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Scope, ScopedJoinHandle};

/// Fewer threads than this are written before another thread of ours would have begun.
const WORTH_A_THREAD: usize = 48;

/// Takes core images and writes each to its file.
pub enum CoreWriter<'scope> {
    /// At once.
    Here(&'scope NewImageDir),
    /// In a thread of its own.
    Beside(Sender<(Pid, CoreEntry)>, ScopedJoinHandle<'scope, Result<()>>),
}

impl<'scope> CoreWriter<'scope> {
    /// A writer for a tree of so many threads.
    pub fn start(scope: &'scope Scope<'scope, '_>, out: &'scope NewImageDir, threads: usize) -> Self {
        if threads < WORTH_A_THREAD {
            return CoreWriter::Here(out);
        }
        let (sender, receiver) = channel();
        let work = move || receiver.into_iter().try_for_each(|(tid, core)| write(out, tid, &core));
        CoreWriter::Beside(sender, scope.spawn(work))
    }

    /// Writes the core image of a thread, now or soon.
    ///
    /// # Errors
    /// It could not be written; what happens beside is told by [`CoreWriter::finish`].
    pub fn put(&self, tid: Pid, core: CoreEntry) -> Result<()> {
        match self {
            CoreWriter::Here(out) => write(out, tid, &core),
            // A writer that has failed takes no more, and tells why at the end.
            CoreWriter::Beside(sender, _) => {
                let _ = sender.send((tid, core));
                Ok(())
            }
        }
    }

    /// Waits until all are written.
    ///
    /// # Errors
    /// One of them could not be written.
    pub fn finish(self) -> Result<()> {
        match self {
            CoreWriter::Here(_) => Ok(()),
            CoreWriter::Beside(sender, thread) => {
                drop(sender);
                thread.join().unwrap_or_else(|_| Err(Error::state("the writer of core images ended early")))
            }
        }
    }
}

fn write(out: &NewImageDir, tid: Pid, core: &CoreEntry) -> Result<()> {
    Ok(out.write_one(kinds::CORE.of(tid.as_raw() as u64), core)?)
}
