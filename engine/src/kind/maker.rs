//! Making connections as somebody else: the kernel remembers who made one, and tells it to the other end. A process of
//! the tree does it itself. For one that is gone a process with its number is made; where the number is taken by another
//! process, only user and group can be kept.

use crate::error::{Doing, Result};
use crate::sys::acting::{self, Actor, Operation, Pair};
use crate::sys::{Errno, Pid};

/// The processes of the tree that is restored.
pub trait Actors {
    /// Has a process make calls, with the ids that are given; none if it is not one of the tree.
    fn act(&self, whom: &Actor, operations: &[Operation<'_>]) -> Result<Option<Vec<Pair>>>;
}

/// Nobody: in tests of the kinds there is no tree.
#[cfg(test)]
pub struct Nobody;

#[cfg(test)]
impl Actors for Nobody {
    fn act(&self, _: &Actor, _: &[Operation<'_>]) -> Result<Option<Vec<Pair>>> {
        Ok(None)
    }
}

/// Makes calls as somebody; as the engine where nobody is named.
pub fn act(actors: &dyn Actors, whom: Option<&Actor>, operations: &[Operation<'_>]) -> Result<Vec<Pair>> {
    let doing = || match whom {
        Some(whom) => format!("make a connection of unix sockets as process {}, user {}", whom.pid, whom.uid),
        None => "make a connection of unix sockets".to_owned(),
    };
    let Some(whom) = whom else { return acting::here(operations).doing(doing) };
    if let Some(done) = actors.act(whom, operations)? {
        return Ok(done);
    }
    let as_pid = |pid| acting::elsewhere(pid, whom, operations);
    let done = match whom.pid {
        1.. => as_pid(Some(Pid::from_raw(whom.pid))),
        _ => Err(Errno::EEXIST),
    };
    match done {
        Err(Errno::EEXIST) => {
            tracing::warn!(
                "the pid {} of who made a connection of unix sockets is not that of the tree's any more",
                whom.pid
            );
            as_pid(None).doing(doing)
        }
        other => other.doing(doing),
    }
}
