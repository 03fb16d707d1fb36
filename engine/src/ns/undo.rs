//! What the kernel is to add to semaphores when a process ends (SEM_UNDO of semop(2)). It shows nowhere, but an operation
//! that would bring an adjustment out of its range fails with ERANGE before anything changes. So a process is asked by
//! operations that all fail: each has a last part that cannot be done either. Nothing changes, whenever the engine dies.

use crate::error::{Doing, Error, Result};
use crate::image::proto::StasisAdjustment;
use crate::kind::BatchCall;
use crate::remote::{Batch, Handle, Injector};
use crate::sys::kcmp::{What, kcmp};
use crate::sys::{self, Errno, Pid, ipc};
use stasis_arch::native;
use std::cmp::Ordering;
use std::collections::HashSet;

/// The largest value and the largest adjustment.
const MOST: i32 = 0x7fff;
/// Questions in a batch.
const AT_ONCE: usize = 64;

/// A semaphore that may be adjusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Semaphore {
    /// Its set.
    pub set: i32,
    /// Its number in the set.
    pub number: u16,
    /// Its value.
    pub value: u16,
}

/// The processes that have a list of adjustments, be it empty. `processes` are their threads, the leader first.
pub fn holders(processes: &[Vec<Pid>]) -> Result<HashSet<Pid>> {
    let doing = || "ask who adjusts semaphores";
    let ask = || -> Result<HashSet<Pid>> {
        ipc::forget_adjustments().doing(doing)?;
        let nobody = nix::unistd::gettid();
        let same = |a, b| kcmp(a, b, What::Sysvsem, 0, 0).map(|order| order == Ordering::Equal).doing(doing);
        let mut holders: Vec<Pid> = Vec::new();
        for threads in processes {
            let Some(&first) = threads.first() else { continue };
            for &thread in &threads[1..] {
                if !same(first, thread)? {
                    return Err(shares_oddly(format!("thread {thread}"), "that is not that of its process"));
                }
            }
            if same(first, nobody)? {
                continue;
            }
            for &other in &holders {
                if same(first, other)? {
                    return Err(shares_oddly(format!("process {first}"), &format!("that is also process {other}'s")));
                }
            }
            holders.push(first);
        }
        Ok(holders.into_iter().collect())
    };
    // A thread of its own: it lets go of what it shares.
    std::thread::scope(|scope| {
        scope.spawn(ask).join().unwrap_or_else(|_| Err(Error::state("the question who adjusts semaphores failed")))
    })
}

fn shares_oddly(who: String, what: &str) -> Error {
    Error::unsupported(who, format!("it has a list of semaphore adjustments {what} (CLONE_SYSVSEM)"))
}

/// `struct sembuf`.
fn part(number: u16, add: i32, undo: bool) -> Option<[u8; 6]> {
    const SEM_UNDO: i16 = 0x1000;
    let flags = libc::IPC_NOWAIT as i16 | if undo { SEM_UNDO } else { 0 };
    let [a, b] = number.to_ne_bytes();
    let [c, d] = (add as i16).to_ne_bytes();
    let [e, f] = flags.to_ne_bytes();
    // An operation of 0 would wait.
    (add != 0).then_some([a, b, c, d, e, f])
}

fn operation(parts: &[Option<[u8; 6]>]) -> (Vec<u8>, u64) {
    let parts: Vec<[u8; 6]> = parts.iter().copied().flatten().collect();
    (parts.concat(), parts.len() as u64)
}

/// What is known of an adjustment: it is at least `low` and at most `high`.
#[derive(Debug, Clone, Copy)]
struct Search {
    semaphore: Semaphore,
    low: i32,
    high: i32,
}

impl Search {
    /// An operation that fails with ERANGE if the adjustment is above `limit`, at least 0, and with EAGAIN if not.
    fn above(&self, limit: i32) -> (Vec<u8>, u64) {
        let Semaphore { number, value, .. } = self.semaphore;
        let part = |add, undo| part(number, add, undo);
        operation(&[part(MOST - i32::from(value), false), part(limit - MOST, true), part(-MOST, false)])
    }

    /// The same if it is below `limit`, at most 0.
    fn below(&self, limit: i32) -> (Vec<u8>, u64) {
        let Semaphore { number, value, .. } = self.semaphore;
        let part = |add, undo| part(number, add, undo);
        let add = limit + MOST + 1;
        let (first, rest) = (add.min(MOST), (add - MOST).max(0));
        let down = [part(-i32::from(value), false), part(first, true), part(-first, false)];
        operation(&[down[0], down[1], down[2], part(rest, true), part(-MOST, false)])
    }

    fn is_known(&self) -> bool {
        self.low == self.high
    }

    /// The next question: where the range is cut, and whether its upper part is meant.
    fn cut(&self) -> (i32, bool) {
        match (self.low, self.high) {
            (low, high) if low < 0 && high > 0 => (0, true),
            (low, high) if high > 0 => (low + (high - low) / 2, true),
            // Most are none at all.
            (low, 0) if low == -MOST - 1 => (0, false),
            (low, high) => (high - (high - low) / 2, false),
        }
    }

    fn ask(&self) -> (Vec<u8>, u64) {
        let (limit, above) = self.cut();
        if above { self.above(limit) } else { self.below(limit) }
    }

    fn learn(&mut self, yes: bool) {
        match (self.cut(), yes) {
            ((limit, true), true) => self.low = limit + 1,
            ((limit, true), false) => self.high = limit,
            ((limit, false), true) => self.high = limit - 1,
            ((limit, false), false) => self.low = limit,
        }
    }
}

/// Asks the process that the engine is in. Of one without an adjustment the first semaphore is named, with 0: it has a
/// list all the same.
pub fn ask(injector: &mut Injector<'_>, semaphores: &[Semaphore]) -> Result<Vec<StasisAdjustment>> {
    let mut found = Vec::new();
    for some in semaphores.chunks(AT_ONCE) {
        let mut open: Vec<Search> =
            some.iter().map(|&semaphore| Search { semaphore, low: -MOST - 1, high: MOST }).collect();
        while !open.is_empty() {
            open = round(injector, open, &mut found)?;
        }
    }
    if found.iter().any(|adjustment| adjustment.value != 0) {
        found.retain(|adjustment| adjustment.value != 0);
    }
    found.truncate(if found.iter().all(|adjustment| adjustment.value == 0) { 1 } else { found.len() });
    Ok(found)
}

/// One question about each; returns those that are not known yet.
fn round(injector: &mut Injector<'_>, mut open: Vec<Search>, found: &mut Vec<StasisAdjustment>) -> Result<Vec<Search>> {
    let mut batch = injector.batch(0, AT_ONCE);
    let calls: Vec<Handle> = open.iter().map(|search| add(&mut batch, search)).collect();
    let mut batches = [(0, batch)];
    injector.run(&mut batches)?;
    let mut gone = Vec::new();
    for (search, call) in open.iter_mut().zip(calls) {
        let Semaphore { set, number, .. } = search.semaphore;
        match batches[0].1.result(call) {
            Err(Errno::ERANGE) => search.learn(true),
            Err(Errno::EAGAIN) => search.learn(false),
            // A process that may not change it has adjusted nothing, unless it could once.
            Err(Errno::EACCES | Errno::EPERM | Errno::EIDRM | Errno::EINVAL) => gone.push((set, number)),
            Err(errno) => return Err(errno).doing(|| format!("ask for the adjustment of semaphore {number} of {set}")),
            Ok(_) => return Err(Error::state(format!("a question about semaphore {number} of {set} changed it"))),
        }
    }
    open.retain(|search| !gone.contains(&(search.semaphore.set, search.semaphore.number)));
    let (known, open): (Vec<_>, Vec<_>) = open.into_iter().partition(Search::is_known);
    found.extend(known.iter().map(|search| StasisAdjustment {
        set: search.semaphore.set as u32,
        number: search.semaphore.number.into(),
        value: search.low,
    }));
    Ok(open)
}

fn add(batch: &mut Batch, search: &Search) -> Handle {
    let (parts, count) = search.ask();
    let at = batch.put(&parts);
    batch.try_call(native::NR_SEMTIMEDOP, &[search.semaphore.set as u64, at.0, count, 0])
}

/// The call by which a process that has no adjustment of a semaphore takes one, and leaves its value as it is.
pub fn adjust(adjustment: &StasisAdjustment, value: u16) -> Result<BatchCall> {
    let StasisAdjustment { set, number, value: add } = *adjustment;
    let about = format!("the adjustment {add} of semaphore {number} of set {set}");
    let Some(number) = u16::try_from(number).ok().filter(|_| (-MOST - 1..=MOST).contains(&add)) else {
        return Err(Error::state(format!("the images hold {about}, which is impossible")));
    };
    let part = |add, undo| part(number, add, undo);
    let (down, up) = (part(-i32::from(value), false), part(value.into(), false));
    let (parts, count) = match add {
        0 => operation(&[down, part(1, true), part(-1, true), up]),
        1.. => operation(&[down, part(add, false), part(-add, true), up]),
        _ => {
            let (first, rest) = ((-add).min(MOST), (-add - MOST).max(0));
            let parts = [part(first, true), part(-first, false), part(rest, true), part(-rest, false)];
            operation(&[down, parts[0], parts[1], parts[2], parts[3], up])
        }
    };
    let args = [u64::from(set), 0, count, 0, 0, 0];
    Ok(BatchCall { nr: native::NR_SEMTIMEDOP, args, data: Some((1, parts)), doing: format!("take {about}") })
}

/// All semaphores of the calling thread's IPC namespace; none for a kernel without them.
pub fn semaphores() -> sys::Result<Vec<Semaphore>> {
    let mut all = Vec::new();
    for set in ipc::sets()? {
        let values = ipc::values(set.id, set.about)?;
        all.extend(of_set(set.id, &values));
    }
    Ok(all)
}

/// The semaphores of a set.
pub fn of_set(set: i32, values: &[u16]) -> impl Iterator<Item = Semaphore> {
    values.iter().enumerate().map(move |(number, value)| Semaphore { set, number: number as u16, value: *value })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel does with an operation on a semaphore of this value with this adjustment.
    fn run(parts: &[u8], mut value: i32, mut adjustment: i32) -> Result<(i32, i32), Errno> {
        for part in parts.chunks(6) {
            let add = i32::from(i16::from_ne_bytes([part[2], part[3]]));
            let undo = i16::from_ne_bytes([part[4], part[5]]) & 0x1000 != 0;
            value += add;
            match value {
                ..0 => return Err(Errno::EAGAIN),
                0..=MOST => {}
                _ => return Err(Errno::ERANGE),
            }
            adjustment -= if undo { add } else { 0 };
            if !(-MOST - 1..=MOST).contains(&adjustment) {
                return Err(Errno::ERANGE);
            }
        }
        Ok((value, adjustment))
    }

    #[test]
    fn every_adjustment_is_found_by_questions_that_fail_and_is_taken_again() {
        for value in [0, 1, 5, 32766, 32767] {
            for adjustment in [-32768, -32767, -32766, -300, -2, -1, 0, 1, 2, 77, 32766, 32767] {
                let semaphore = Semaphore { set: 1, number: 3, value };
                let mut search = Search { semaphore, low: -MOST - 1, high: MOST };
                while !search.is_known() {
                    match run(&search.ask().0, value.into(), adjustment) {
                        Err(Errno::ERANGE) => search.learn(true),
                        Err(Errno::EAGAIN) => search.learn(false),
                        other => panic!("value {value}, adjustment {adjustment}: {other:?}"),
                    }
                }
                assert_eq!(search.low, adjustment, "value {value}");
                let entry = StasisAdjustment { set: 1, number: 3, value: adjustment };
                let call = adjust(&entry, value).expect("a call");
                let parts = call.data.expect("operations").1;
                assert_eq!(run(&parts, value.into(), 0), Ok((value.into(), adjustment)));
            }
        }
        assert!(adjust(&StasisAdjustment { set: 1, number: 70000, value: 1 }, 0).is_err());
        assert!(adjust(&StasisAdjustment { set: 1, number: 0, value: 32768 }, 0).is_err());
    }
}
