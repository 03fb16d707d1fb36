//! Lends a running process what a batch needs, and takes it away again.
//!
//! The stub and the leader's way home stand in the zero tail of the vDSO's last page, written there by ptrace before
//! any register changes. From there the process maps a scratch area (readable, writable) for batches, and, where it
//! has more threads, an executable one for their ways home. Every step leaves a state in which the tracer's death
//! lets each thread find home by itself; what may then stay behind carries [`STALE_MAGIC`] and is removed by the next
//! dump ([`Leftover`]).

use super::{Batch, Seized};
use crate::error::{Doing, Error, Result};
use crate::fault;
use crate::sys::ptrace;
use crate::sys::{self, Errno, Pid, RemoteAddr};
use stasis_arch::Park;
use stasis_arch::native::stub;
use stasis_arch::native::{self, Regs};
use std::fs::File;
use std::time::{Duration, Instant};
use zerocopy::IntoBytes;

/// Marks what the engine lends to a process: the first word of the vDSO's tail and of the area.
pub const STALE_MAGIC: u64 = 0x7363_7261_7463_6831;

/// How long a parked thread waits for its tracer before it goes home.
const PARK_SECONDS: u64 = 2;
/// How long a batch may take, or a single call, on a machine that hardly gets to it. Only a thread that is through is
/// parked, so there is no hurry before.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a thread is stopped to see whether its single call failed, which leaves no trace in memory.
const LOOK: Duration = Duration::from_millis(PARK_SECONDS * 1000 / 10);
/// Threads that run batches at the same time: few enough that none is parked for long.
const WAVE: usize = 256;

/// What the lent tail of the vDSO holds, as offsets in bytes.
mod tail {
    pub const EMPTY_SET: u64 = 40;
    pub const TIMEOUT: u64 = 48;
    pub const STUB: u64 = 64;
    /// The arguments of the first mmap(2), where it takes a pointer to them.
    pub const ARGUMENTS: u64 = (STUB + super::stub::DUMP.len() as u64).next_multiple_of(16);
    const ARGUMENTS_LEN: u64 = if super::native::MMAP_BY_POINTER { 48 } else { 0 };
    pub const HOME: u64 = (ARGUMENTS + ARGUMENTS_LEN).next_multiple_of(32);
    pub const LEN: usize = HOME as usize + super::stub::HOME_MAX.next_multiple_of(8);
}

/// Bytes at the head of the scratch area before the first thread's slot.
const HEAD: u64 = 64;
/// Bytes between the ways home of two threads.
const HOME_STRIDE: u64 = (stub::HOME_MAX as u64).next_multiple_of(128);

/// The areas that a process lends for batches.
pub struct Injector<'t> {
    threads: &'t mut [Seized],
    pid: Pid,
    tail: RemoteAddr,
    scratch: (RemoteAddr, u64),
    homes: Option<(RemoteAddr, u64)>,
    leader_slot: u64,
    thread_slot: u64,
}

/// Where a process has room: its vDSO and a hole in its address space.
pub struct Place<'a> {
    /// Start of the vDSO.
    pub vdso: RemoteAddr,
    /// Its bytes.
    pub vdso_bytes: &'a [u8],
    /// A hole of at least [`Injector::hole_len`] bytes.
    pub hole: RemoteAddr,
    /// What a killed engine left, to be removed.
    pub leftover: Option<&'a Leftover>,
}

impl<'t> Injector<'t> {
    /// Bytes that must be free at [`Place::hole`], for slots of these sizes.
    pub fn hole_len(threads: usize, leader_slot: u64, thread_slot: u64) -> u64 {
        let (scratch, homes) = Self::sizes(threads, leader_slot, thread_slot);
        scratch + homes
    }

    fn sizes(threads: usize, leader_slot: u64, thread_slot: u64) -> (u64, u64) {
        let page = sys::page_size();
        let others = threads.saturating_sub(1) as u64;
        let scratch = (HEAD + leader_slot + others * thread_slot).next_multiple_of(page);
        let homes = if others == 0 { 0 } else { (others * HOME_STRIDE).next_multiple_of(page) };
        (scratch, homes)
    }

    /// Lends the areas: the first of `threads` gets a slot of `leader_slot` bytes, each other one of `thread_slot`.
    pub fn enter(threads: &'t mut [Seized], place: &Place<'_>, leader_slot: u64, thread_slot: u64) -> Result<Self> {
        let pid = threads.first().ok_or_else(|| Error::state("a process without threads"))?.tid();
        let tail = find_tail(place.vdso, place.vdso_bytes)
            .ok_or_else(|| Error::state(format!("the vDSO of task {pid} has no free tail for the stub")))?;
        let (scratch_len, homes_len) = Self::sizes(threads.len(), leader_slot, thread_slot);
        let scratch = (place.hole, scratch_len);
        let homes = (homes_len > 0).then_some((place.hole.plus(scratch_len), homes_len));
        fault::point("before the stub")?;
        let mut injector = Injector { threads, pid, tail, scratch, homes, leader_slot, thread_slot };
        if let Some(leftover) = place.leftover {
            injector.clean_up(leftover)?;
        }
        write_tail(&injector.threads[0], tail, scratch, homes)?;
        injector.lend()?;
        Ok(injector)
    }

    /// Removes what a killed engine left, while the tail still says where it is: if we are killed now, the next dump
    /// finds it all the same.
    fn clean_up(&mut self, leftover: &Leftover) -> Result<()> {
        if let Some((at, len)) = leftover.areas {
            write_tail(&self.threads[0], self.tail, (at, len), None)?;
            let pid = self.pid;
            let unmapped = || Ok(sys::mem::read_word(pid, at).is_err());
            self.first_call(libc::SYS_munmap, [at.0, len, 0, 0, 0, 0], unmapped)?;
        }
        // Another version of the engine may have put its tail elsewhere.
        if leftover.tail == self.tail { Ok(()) } else { clear_tail(self.pid, leftover.tail) }
    }

    /// An empty batch for thread `index`, with room for `max_entries` calls.
    pub fn batch(&self, index: usize, max_entries: usize) -> Batch {
        let (at, len) = match index {
            0 => (HEAD, self.leader_slot),
            n => (HEAD + self.leader_slot + (n as u64 - 1) * self.thread_slot, self.thread_slot),
        };
        Batch::new(self.scratch.0.plus(at), len, max_entries)
    }

    /// Runs a batch in each thread named by its index, in waves side by side, and fetches the results.
    pub fn run(&mut self, batches: &mut [(usize, Batch)]) -> Result<()> {
        for wave in batches.chunks_mut(WAVE) {
            // What a batch took it puts back, and another may have to put right what this one put back.
            let whole = wave.iter().any(|(_, batch)| batch.is_whole());
            let is_wanted = || if whole { Ok(()) } else { crate::cancel::check() };
            is_wanted()?;
            Batch::send_all(wave.iter().map(|(_, batch)| batch), self.pid)?;
            for (index, batch) in wave.iter() {
                let park = self.park(*index);
                let thread = &mut self.threads[*index];
                let stub = self.tail.plus(tail::STUB).0;
                let regs = thread.regs().at_batch(stub, batch.entries_at().0, batch.len() as u64, Some(park));
                thread.divert(&regs)?;
                thread.resume()?;
            }
            self.await_wave(wave).and_then(|()| is_wanted())?;
            fault::point("after a batch")?;
            Batch::fetch_all(wave.iter_mut().map(|(_, batch)| batch), self.pid)?;
        }
        Ok(())
    }

    /// Waits until all threads of a wave are through and stopped. Each is told to stop as soon as it is through: it is
    /// parked for no longer than we take to look at all of them.
    fn await_wave(&mut self, wave: &[(usize, Batch)]) -> Result<()> {
        let mut outcome = Ok(());
        let mut running: Vec<&(usize, Batch)> = wave.iter().collect();
        let pace = Pace::new();
        while !running.is_empty() {
            running.retain(|(index, batch)| {
                let through = self.is_through(*index, batch, &pace);
                if matches!(through, Ok(false)) {
                    return true;
                }
                let asked = self.threads[*index].ask_to_halt();
                keep_first(&mut outcome, through.and(asked));
                false
            });
            pace.step();
        }
        // All are on their way to their stops before the first is waited for.
        for (index, _) in wave {
            let halted = self.threads[*index].await_halt();
            keep_first(&mut outcome, halted.and_then(|regs| self.check_place(*index, regs)).map(drop));
        }
        wave.iter().for_each(|(index, _)| self.threads[*index].requeue());
        outcome
    }

    /// Whether a thread has run its batch, or is no more to be waited for.
    fn is_through(&mut self, index: usize, batch: &Batch, pace: &Pace) -> Result<bool> {
        // A dump that is given up does not wait for the end of its questions. (Single calls are waited for: what they
        // do must be known.)
        let given_up = !batch.is_whole() && crate::cancel::requested();
        if given_up || is_done(self.pid, || batch.is_through(self.pid))? {
            return Ok(true);
        }
        Ok(self.go_on(index)? || pace.check(self.threads[index].tid()).map(|()| false)?)
    }

    /// Lets a thread go on that somebody else has stopped; true where it stands parked, and stays so.
    fn go_on(&mut self, index: usize) -> Result<bool> {
        let Some(regs) = self.threads[index].stray_stop()? else { return Ok(false) };
        let parked = self.is_parked(&regs);
        if !parked {
            self.threads[index].resume()?;
        }
        Ok(parked)
    }

    /// Whether a stopped thread was waiting in the stub, through with its work.
    fn is_parked(&self, regs: &Regs) -> bool {
        regs.ip() == self.tail.plus(tail::STUB + stub::PARKED).0
    }

    /// Takes the areas away and gives the threads their registers back.
    pub fn leave(mut self) -> Result<()> {
        let result = self.take_back();
        std::mem::forget(self);
        result
    }

    /// Maps the areas: one mapping, which the thread itself marks right after the call, then code in its last part.
    fn lend(&mut self) -> Result<()> {
        let (at, len) = self.scratch;
        let pid = self.pid;
        let marked = || match sys::mem::read_word(pid, at) {
            Ok(word) => Ok(word == STALE_MAGIC),
            Err(Errno::EFAULT) => Ok(false),
            Err(e) => Err(e),
        };
        let whole = len + self.homes.map_or(0, |(_, len)| len);
        let mut args = mapping(at, whole, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_FIXED_NOREPLACE);
        if native::MMAP_BY_POINTER {
            args[0] = self.tail.plus(tail::ARGUMENTS).0;
        }
        self.first_call(libc::SYS_mmap, args, marked)?;
        let Some((at, len)) = self.homes else { return Ok(()) };
        let mut batch = self.batch(0, 4);
        // A new mapping: where write and execute exclude each other, one may not become the other (PR_SET_MDWE).
        batch.call(libc::SYS_mmap, &mapping(at, len, libc::PROT_READ | libc::PROT_EXEC, libc::MAP_FIXED));
        self.run(&mut [(0, batch)])?;
        let mut code = vec![0u8; len as usize];
        for (i, thread) in self.threads.iter().enumerate().skip(1) {
            let offset = (i as u64 - 1) * HOME_STRIDE;
            let home = thread.way_home(at.plus(offset))?;
            code[offset as usize..][..home.len()].copy_from_slice(home.as_bytes());
        }
        write_code(pid, &[(at, &code)])
    }

    /// Undoes [`Injector::lend`], also half done.
    fn take_back(&mut self) -> Result<()> {
        for thread in self.threads[1..].iter_mut() {
            thread.restore()?;
        }
        let pid = self.pid;
        let (at, len) = self.scratch;
        if is_ours(pid, at) {
            let whole = len + self.homes.take().map_or(0, |(_, len)| len);
            let unmapped = || Ok(sys::mem::read_word(pid, at).is_err());
            self.first_call(libc::SYS_munmap, [at.0, whole, 0, 0, 0, 0], unmapped)?;
        }
        self.threads[0].restore()?;
        clear_tail(pid, self.tail)
    }

    /// Makes one call in the leader, its arguments in registers; `done` sees its effect.
    fn first_call(&mut self, nr: i64, args: [u64; 6], done: impl Fn() -> sys::Result<bool>) -> Result<()> {
        let park = self.park(0);
        let leader = &mut self.threads[0];
        let regs = leader.regs().at_first_call(self.tail.plus(tail::STUB).0, nr, args, STALE_MAGIC, park);
        leader.divert(&regs)?;
        leader.resume()?;
        let waited = self.await_call(done);
        let regs = self.halt(0)?;
        self.threads[0].requeue();
        if let error @ -4095..0 = regs.first_result() {
            return Err(Error::Call {
                task: self.pid,
                call: super::batch::describe(&stasis_arch::Entry { nr, args, ret: error }),
                errno: Errno::from_raw(-error as i32),
            });
        }
        // What takes the areas back must not fail as well.
        if nr != libc::SYS_munmap {
            fault::point("after a call")?;
        }
        waited
    }

    /// Waits until the leader has made its call: until `done` sees the effect, or it is seen parked.
    fn await_call(&mut self, done: impl Fn() -> sys::Result<bool>) -> Result<()> {
        let pace = Pace::new();
        let mut looks = 0;
        while !is_done(self.pid, &done)? && !self.go_on(0)? {
            if pace.started.elapsed() > LOOK * (looks + 1) {
                looks += 1;
                let regs = self.threads[0].halt()?;
                if self.is_parked(&regs) {
                    break;
                }
                self.threads[0].resume()?;
            }
            pace.check(self.pid)?;
            pace.step();
        }
        Ok(())
    }

    fn park(&self, index: usize) -> Park {
        let home = match (index, self.homes) {
            (0, _) | (_, None) => self.tail.plus(tail::HOME),
            (n, Some((at, _))) => at.plus((n as u64 - 1) * HOME_STRIDE),
        };
        let (set, timeout) = (self.tail.plus(tail::EMPTY_SET).0, self.tail.plus(tail::TIMEOUT).0);
        Park { home: home.0, empty_set: set, timeout }
    }

    /// Stops a thread that ran our code; it must still be there.
    fn halt(&mut self, index: usize) -> Result<Regs> {
        let regs = self.threads[index].halt()?;
        self.check_place(index, regs)
    }

    /// A thread that stands anywhere but in the stub went home by itself.
    fn check_place(&mut self, index: usize, regs: Regs) -> Result<Regs> {
        let stub = self.tail.plus(tail::STUB).0;
        if (stub..stub + stub::DUMP.len() as u64).contains(&regs.ip()) {
            return Ok(regs);
        }
        let tid = self.threads[index].tid();
        self.threads[index].escaped(&regs)?;
        Err(Error::state(format!("task {tid} went on before the engine came back to it"))
            .with_help("the machine is overloaded; try again"))
    }
}

impl Drop for Injector<'_> {
    fn drop(&mut self) {
        if let Err(e) = self.take_back() {
            tracing::warn!("{e}");
        }
    }
}

/// What a killed engine left behind in a process.
pub struct Leftover {
    tail: RemoteAddr,
    /// The areas as one range, where they are still there.
    areas: Option<(RemoteAddr, u64)>,
}

impl Leftover {
    /// Looks for it in the vDSO of process `pid` and zeroes it in `vdso_bytes`.
    pub fn find(pid: Pid, vdso: RemoteAddr, vdso_bytes: &mut [u8]) -> Option<Leftover> {
        let word = |bytes: &[u8], i: usize| u64::from_ne_bytes(bytes[i..i + 8].try_into().unwrap_or_default());
        let last = vdso_bytes.len().checked_sub(tail::LEN)?;
        let at = (0..=last).step_by(16).find(|&i| word(vdso_bytes, i) == STALE_MAGIC)?;
        let (area, len) = (RemoteAddr(word(vdso_bytes, at + 8)), word(vdso_bytes, at + 16));
        let homes_len = word(vdso_bytes, at + 32);
        let whole = len.checked_add(homes_len).filter(|&len| len > 0 && is_ours(pid, area));
        vdso_bytes[at..at + tail::LEN].fill(0);
        Some(Leftover { tail: vdso.plus(at as u64), areas: whole.map(|len| (area, len)) })
    }

    /// Whether a thread with these registers is still on its way home.
    pub fn is_inside(&self, regs: &Regs) -> bool {
        let inside = |at: RemoteAddr, len: u64| regs.ip().wrapping_sub(at.0) < len;
        inside(self.tail, tail::LEN as u64) || self.areas.is_some_and(|(at, len)| inside(at, len))
    }

    /// Whether the mapping that begins at `start` belongs to it, and not into a dump.
    pub fn holds(&self, start: u64) -> bool {
        self.areas.is_some_and(|(at, len)| start.wrapping_sub(at.0) < len)
    }
}

/// Whether our mark stands at `at`.
fn is_ours(pid: Pid, at: RemoteAddr) -> bool {
    sys::mem::read_word(pid, at) == Ok(STALE_MAGIC)
}

/// The free tail of the vDSO: zeroes to its end, enough of them.
fn find_tail(vdso: RemoteAddr, bytes: &[u8]) -> Option<RemoteAddr> {
    let used = bytes.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1).next_multiple_of(64);
    (used + tail::LEN <= bytes.len()).then(|| vdso.plus(used as u64))
}

/// The arguments of an anonymous mapping.
fn mapping(at: RemoteAddr, len: u64, prot: i32, fixed: i32) -> [u64; 6] {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | fixed;
    [at.0, len, prot as u64, flags as u64, u64::MAX, 0]
}

fn write_tail(
    leader: &Seized,
    at: RemoteAddr,
    scratch: (RemoteAddr, u64),
    homes: Option<(RemoteAddr, u64)>,
) -> Result<()> {
    let mut bytes = [0u8; tail::LEN];
    let homes = homes.unwrap_or_default();
    for (i, word) in [STALE_MAGIC, scratch.0.0, scratch.1, homes.0.0, homes.1, 0, PARK_SECONDS, 0].iter().enumerate() {
        bytes[i * 8..i * 8 + 8].copy_from_slice(&word.to_ne_bytes());
    }
    if native::MMAP_BY_POINTER {
        let (prot, fixed) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_FIXED_NOREPLACE);
        let args = mapping(scratch.0, scratch.1 + homes.1, prot, fixed);
        bytes[tail::ARGUMENTS as usize..][..args.as_bytes().len()].copy_from_slice(args.as_bytes());
    }
    bytes[tail::STUB as usize..][..stub::DUMP.len()].copy_from_slice(&stub::DUMP);
    let home = leader.way_home(at.plus(tail::HOME))?;
    bytes[tail::HOME as usize..][..home.len()].copy_from_slice(home.as_bytes());
    write_code(leader.tid(), &[(at, &bytes)])
}

/// Clears the tail, the mark last: what a killed engine leaves of it must still be found, or each such kill would cost
/// the vDSO a piece of its room.
fn clear_tail(pid: Pid, at: RemoteAddr) -> Result<()> {
    const MARK: usize = size_of::<u64>();
    write_code(pid, &[(at.plus(MARK as u64), &[0; tail::LEN - MARK]), (at, &[0; MARK])])
}

/// Writes pieces, one after the other, into memory that the process itself may not write.
fn write_code(pid: Pid, pieces: &[(RemoteAddr, &[u8])]) -> Result<()> {
    let mem: Option<File> = sys::mem::open(pid, true).ok();
    for &(at, code) in pieces {
        let written = mem.as_ref().is_some_and(|mem| sys::mem::write_forced(mem, at, code).is_ok());
        // Where /proc/PID/mem is closed to us, ptrace is not; but it takes a call for each word.
        if !written {
            ptrace::poke_bytes(pid, at, code).doing(|| format!("write code into task {pid}"))?;
        }
    }
    Ok(())
}

/// Of several errors the first explains the others.
fn keep_first(outcome: &mut Result<()>, next: Result<()>) {
    if outcome.is_ok() {
        *outcome = next;
    }
}

/// Asks `done`, which looks at the memory of a process.
fn is_done(pid: Pid, done: impl FnOnce() -> sys::Result<bool>) -> Result<bool> {
    done().doing(|| format!("read the memory of task {pid}"))
}

/// Waiting for running threads without keeping the processor from them.
struct Pace {
    started: Instant,
}

impl Pace {
    fn new() -> Pace {
        Pace { started: Instant::now() }
    }

    /// Lets others run for a moment.
    fn step(&self) {
        const SHORT: Duration = Duration::from_millis(1);
        if self.started.elapsed() < SHORT {
            std::thread::yield_now();
        } else {
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    /// Fails when thread `tid` has been waited for long enough.
    fn check(&self, tid: Pid) -> Result<()> {
        if self.started.elapsed() < PATIENCE {
            return Ok(());
        }
        Err(Error::state(format!("task {tid} did not finish its batch in time"))
            .with_help("the machine is overloaded; try again"))
    }
}
