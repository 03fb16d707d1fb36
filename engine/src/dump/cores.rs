//! Writing the core images while the tracer goes on asking, and making the files of a large tree before their contents
//! are known: making thousands takes a file system about as long as asking thousands of threads.

use crate::error::{Error, Result};
use crate::image::proto::CoreEntry;
use crate::image::{NewImageDir, kinds};
use crate::sys::Pid;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{Scope, ScopedJoinHandle};

/// Fewer files than this are written before another thread of ours would have begun.
const WORTH_A_THREAD: usize = 48;

/// Takes core images and writes each to its file.
pub enum CoreWriter<'scope> {
    /// At once.
    Here(&'scope NewImageDir),
    /// In a thread of its own.
    Beside(Sender<(Pid, CoreEntry)>, ScopedJoinHandle<'scope, Result<()>>),
}

impl<'scope> CoreWriter<'scope> {
    /// A writer; `names` are the files that this dump will have, as far as they are known.
    pub fn start(scope: &'scope Scope<'scope, '_>, out: &'scope NewImageDir, names: Vec<String>) -> Self {
        if names.len() < WORTH_A_THREAD {
            return CoreWriter::Here(out);
        }
        let (sender, receiver) = channel();
        CoreWriter::Beside(sender, scope.spawn(move || beside(out, names, &receiver)))
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

/// Makes the files as long as there is nothing to write, then writes what comes.
fn beside(out: &NewImageDir, names: Vec<String>, cores: &Receiver<(Pid, CoreEntry)>) -> Result<()> {
    for name in names {
        loop {
            match cores.try_recv() {
                Ok((tid, core)) => write(out, tid, &core)?,
                Err(TryRecvError::Empty) => break,
                // Nothing will come any more: the dump failed, or it has written all it has.
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
        out.reserve(&name)?;
    }
    cores.iter().try_for_each(|(tid, core)| write(out, tid, &core))
}

fn write(out: &NewImageDir, tid: Pid, core: &CoreEntry) -> Result<()> {
    Ok(out.write_one(kinds::CORE.of(tid.as_raw() as u64), core)?)
}
