//! The tasks under construction as those who make connections of sockets: each makes its own, before it gets its
//! descriptors.

use super::creds::{self, Current};
use super::crew::{Member, Program, run_all};
use super::load::Images;
use super::tree::Tree;
use crate::error::{Doing, Result};
use crate::kind::maker::Actors;
use crate::proc::{ProcDir, task};
use crate::sys::acting::{Actor, NEW, Operation, Pair};
use crate::sys::{self, RemoteAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Operations of one program: a task may have many descriptors, but not more than usual.
const AT_ONCE: usize = 200;

/// See the module.
pub struct Crew<'a> {
    /// What is restored.
    pub images: &'a Images,
    /// The tasks.
    pub tree: &'a Tree,
}

impl Actors for Crew<'_> {
    fn act(&self, whom: &Actor, operations: &[Operation<'_>]) -> Result<Option<Vec<Pair>>> {
        let Some(index) = self.images.tasks.iter().position(|task| task.pid().as_raw() == whom.pid) else {
            return Ok(None);
        };
        let member = &self.tree.leaders[index];
        let mut made = Vec::with_capacity(operations.len());
        for part in operations.chunks(AT_ONCE) {
            made.append(&mut self.run(member, whom, part)?);
        }
        Ok(Some(made))
    }
}

impl Crew<'_> {
    fn run(&self, member: &Member, whom: &Actor, operations: &[Operation<'_>]) -> Result<Vec<Pair>> {
        let mut program = Program::new(&self.tree.layout);
        let free = free_numbers(member)?;
        let current = Current::read(&ProcDir::current()?)?;
        creds::act_as(&mut program, whom, &current);
        // By the engine's pidfd the task takes the sockets that it works on.
        let engine = free[0] as i64;
        let own = u64::from(std::process::id());
        program.room(1, 0).call_for(libc::SYS_pidfd_open, &[own, 0], engine);
        let pairs: Vec<_> = operations.iter().map(|one| add(&mut program, one, free)).collect();
        program.call(libc::SYS_close, &[engine as u64]);
        creds::stop_acting(&mut program, whom, &current);
        let mut work = [(member, program)];
        run_all(self.tree.layout.stub(), &mut work)?;
        let numbers: Vec<Option<[i32; 2]>> = pairs
            .into_iter()
            .map(|pair| pair.map(|(batch, at)| [0, 4].map(|n| work[0].1.batches()[batch].u32_at(at.plus(n)) as i32)))
            .collect();
        self.collect(member, &numbers)
    }

    /// Takes the sockets that a task made, and closes the task's.
    fn collect(&self, member: &Member, numbers: &[Option<[i32; 2]>]) -> Result<Vec<Pair>> {
        let tid = member.tid;
        let doing = || format!("take the sockets of task {tid}");
        let pidfd = sys::pidfd::open(tid).doing(doing)?;
        let take = |fd| sys::pidfd::get_fd(pidfd.as_fd(), fd).doing(doing);
        let made = numbers.iter().map(|pair| match pair {
            Some([one, two]) => Ok(Some((take(*one)?, take(*two)?))),
            None => Ok(None),
        });
        let made = made.collect::<Result<_>>()?;
        let mut program = Program::new(&self.tree.layout);
        numbers.iter().flatten().flatten().for_each(|fd| program.call(libc::SYS_close, &[*fd as u64]));
        run_all(self.tree.layout.stub(), &mut [(member, program)])?;
        Ok(made)
    }
}

/// The two lowest numbers that a task has no descriptor at.
fn free_numbers(member: &Member) -> Result<[u64; 2]> {
    let mut used = task::descriptors(&ProcDir::open(member.tid)?)?;
    used.sort_unstable();
    let mut free = (0..).filter(|n| used.binary_search(n).is_err()).map(|n: i32| n as u64);
    Ok([free.next().unwrap_or(0), free.next().unwrap_or(1)])
}

/// Adds the calls of an operation; of a pair, where its numbers will stand: the batch and the address.
fn add(program: &mut Program, operation: &Operation<'_>, free: [u64; 2]) -> Option<(usize, RemoteAddr)> {
    let taken = free[1];
    let take = |program: &mut Program, fd: &BorrowedFd<'_>| {
        let args = [free[0], fd.as_raw_fd() as u64, 0];
        program.room(1, 0).call_for(libc::SYS_pidfd_getfd, &args, taken as i64);
    };
    match operation {
        Operation::Pair(kind) => {
            let batch = program.room(1, 32);
            let at = batch.room(8);
            batch.call(libc::SYS_socketpair, &[libc::AF_UNIX as u64, (kind | NEW) as u64, 0, at.0]);
            return Some((program.batches().len() - 1, at));
        }
        Operation::Listen(fd, backlog) => {
            take(program, fd);
            program.call(libc::SYS_listen, &[taken, *backlog as u64]);
        }
        Operation::Connect(fd, address) => {
            take(program, fd);
            program.call_with(libc::SYS_connect, &[taken, 0, address.len() as u64], 1, address);
        }
    }
    program.call(libc::SYS_close, &[taken]);
    None
}
