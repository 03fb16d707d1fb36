//! What only a task itself can ask for: signal actions, timers, alternate stacks, a few attributes. One batch a
//! thread; the leader's also asks for what belongs to the process.

use super::aio;
use super::freeze::Process;
use crate::check::kernel;
use crate::error::Result;
use crate::image::proto::{AioRingEntry, StasisAdjustment};
use crate::kind::eventfd::Unsaid;
use crate::kind::tty::{Queued, Queues};
use crate::ns::notice::{Answer, Question};
use crate::ns::undo::{self, Semaphore};
use crate::proc::maps::AddrRange;
use crate::proc::task;
use crate::proc::timers::Timer;
use crate::remote::{Batch, Handle, Injector, Leftover, Place, Seized};
use crate::sys::{Pid, RemoteAddr};
use stasis_arch::native;

/// The number of resource limits.
const LIMITS: usize = 16;

/// The number of signals.
pub const SIGNALS: usize = 64;

/// `struct kernel_sigaction` as rt_sigaction(2) fills it in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SigAction {
    /// Address of the handler, 0 (default) or 1 (ignore).
    pub handler: u64,
    /// SA_* flags.
    pub flags: u64,
    /// Address of the restorer.
    pub restorer: u64,
    /// Signals blocked in the handler.
    pub mask: u64,
}

/// An interval: seconds and a fraction (microseconds for interval timers, nanoseconds for POSIX timers).
pub type TimeValue = (u64, u64);

/// A POSIX timer.
#[derive(Debug, Clone)]
pub struct PosixTimer {
    /// What /proc says of it.
    pub about: Timer,
    /// The interval.
    pub interval: TimeValue,
    /// The time left, zero when disarmed.
    pub value: TimeValue,
    /// Expirations that were not signalled.
    pub overrun: u32,
}

/// What belongs to a process.
#[derive(Debug, Clone, Default)]
pub struct OfProcess {
    /// The actions of signals 1 to 64.
    pub actions: Vec<SigAction>,
    /// ITIMER_REAL, _VIRTUAL, _PROF: interval and value.
    pub itimers: [(TimeValue, TimeValue); 3],
    /// POSIX timers.
    pub timers: Vec<PosixTimer>,
    /// PR_GET_CHILD_SUBREAPER.
    pub subreaper: bool,
    /// PR_GET_DUMPABLE.
    pub dumpable: i32,
    /// PR_GET_THP_DISABLE: bit 0, and from Linux 6.18 what else it says.
    pub thp_disable: u32,
    /// Where its data segment ends: brk(2).
    pub brk: u64,
    /// PR_GET_MDWE.
    pub mdwe: u32,
    /// PR_GET_MEMORY_MERGE.
    pub memory_merge: bool,
    /// What it registered for with membarrier(2): MEMBARRIER_CMD_REGISTER_*.
    pub membarrier: u32,
    /// It has a local descriptor table (modify_ldt(2)).
    pub has_ldt: bool,
    /// mlockall(2) for new areas: MCL_FUTURE, and MCL_ONFAULT with it.
    pub lock_future: i32,
    /// What the kernel adds to semaphores when it ends.
    pub adjustments: Vec<StasisAdjustment>,
    /// What was found out of message queues.
    pub notices: Vec<Answer>,
    /// The files of the eventfds that were asked and are semaphores.
    pub semaphores: Vec<u32>,
    /// What was queued in the pairs of terminals that were asked, by number.
    pub queued: Vec<(u32, Queued)>,
    /// Contexts of asynchronous I/O.
    pub contexts: Vec<AioRingEntry>,
    /// The resource limits by number: soft and hard. From outside, another user's would be refused.
    pub limits: Vec<(u64, u64)>,
}

impl OfProcess {
    /// The signals whose handlers have SA_RESTART, bit n-1 for signal n.
    fn restarting(&self) -> u64 {
        let restarts = |action: &&SigAction| action.flags & libc::SA_RESTART as u64 != 0;
        let set = self.actions.iter().enumerate().filter(|(_, action)| restarts(action));
        set.fold(0, |set, (i, _)| set | 1 << i)
    }
}

/// What belongs to a thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct OfThread {
    /// The alternate signal stack: address, flags, size.
    pub altstack: (u64, u32, u64),
    /// Where the kernel writes zero when the thread ends (PR_GET_TID_ADDRESS).
    pub clear_tid: u64,
    /// PR_GET_PDEATHSIG.
    pub pdeath_signal: u32,
    /// PR_GET_SECUREBITS.
    pub securebits: u32,
    /// personality(2).
    pub personality: u32,
    /// PR_MCE_KILL_GET.
    pub mce_kill: u32,
    /// PR_GET_TSC; 0 where the CPU has no such thing.
    pub tsc: u32,
    /// The CPUID instruction faults (ARCH_GET_CPUID).
    pub cpuid_faults: bool,
    /// PR_GET_TIMERSLACK in nanoseconds; 0 for a real-time task, which has none.
    pub timer_slack: u64,
    /// It has registered an io_uring instance for itself (IORING_REGISTER_RING_FDS).
    pub has_ring: bool,
}

/// What a process is asked about.
pub struct About<'a> {
    /// Its POSIX timers.
    pub timers: &'a [Timer],
    /// Eventfds that do not say of themselves what they are.
    pub eventfds: &'a [Unsaid],
    /// Pairs of terminals that may have something queued.
    pub queues: &'a [Queues],
    /// Semaphores that it may have adjusted.
    pub semaphores: &'a [Semaphore],
    /// Message queues that tell it of their next messages, with values that show nowhere.
    pub notices: &'a [Question],
    /// Rings of asynchronous I/O in its memory.
    pub rings: &'a [AddrRange],
    /// Its tree uses io_uring.
    pub io_uring: bool,
}

/// Where the process has room for what we lend it.
pub struct Room<'a> {
    /// Start of its vDSO.
    pub vdso: RemoteAddr,
    /// The vDSO's bytes, any leftover already zeroed.
    pub vdso_bytes: &'a [u8],
    /// What a killed engine left.
    pub leftover: Option<&'a Leftover>,
    /// Whether it has locked memory.
    pub locked: bool,
    /// Finds a hole of so many bytes.
    pub hole: &'a dyn Fn(u64) -> Option<u64>,
}

/// Data of a thread's part of a batch.
const THREAD_DATA: u64 = 384;
/// Calls of a thread's part of a batch.
const THREAD_CALLS: usize = 10;
/// The most io_uring instances that a thread registers for itself.
const OWN_RINGS: usize = 16;

/// Asks a process and its threads.
pub fn ask(process: &mut Process, about: &About<'_>, room: &Room<'_>) -> Result<(OfProcess, Vec<OfThread>)> {
    let pid = process.pid;
    let mut threads: Vec<Seized> = Vec::new();
    let mut seen = Vec::new();
    for thread in process.threads.drain(..) {
        threads.push(thread.seized);
        seen.push((thread.outside, thread.stopped_by));
    }
    let mut result = ask_threads(&mut threads, about, room);
    if native::STAYS_LINUX32 {
        result = result.and_then(|(of_process, mut of_threads)| {
            for (of_thread, thread) in of_threads.iter_mut().zip(&threads) {
                of_thread.personality = task::personality(&process.dir.thread(thread.tid())?, &mut Vec::new())?;
            }
            Ok((of_process, of_threads))
        });
    }
    if let Ok((of_process, _)) = &result {
        let restarting = of_process.restarting();
        threads.iter_mut().for_each(|thread| thread.set_restarting(restarting));
    }
    let back = threads.into_iter().zip(seen);
    process.threads.extend(back.map(|(seized, (outside, stopped_by))| super::freeze::Thread {
        seized,
        outside,
        stopped_by,
    }));
    result.map_err(|e| {
        tracing::debug!("batch in process {pid} failed: {e}");
        e
    })
}

fn ask_threads(threads: &mut [Seized], about: &About<'_>, room: &Room<'_>) -> Result<(OfProcess, Vec<OfThread>)> {
    let pid = threads[0].tid();
    let count = threads.len();
    let About { timers, eventfds, queues, semaphores, notices, rings, io_uring } = *about;
    let thread_calls = THREAD_CALLS + if io_uring { OWN_RINGS } else { 0 };
    let thread_slot = thread_calls as u64 * 64 + THREAD_DATA;
    let calls = SIGNALS + LIMITS + 32 + thread_calls + 2 * timers.len() + Unsaid::CALLS * eventfds.len() + rings.len();
    let calls = calls + notices.iter().map(Question::calls).sum::<usize>();
    let calls = calls + queues.iter().map(Queues::calls).sum::<usize>();
    let data = SIGNALS * 32 + LIMITS * 16 + 1024 + timers.len() * 48 + Unsaid::DATA * eventfds.len();
    let data = data + notices.iter().map(Question::data).sum::<usize>();
    let data = data + queues.iter().map(Queues::data).sum::<usize>();
    let leader_slot = (calls * 64 + data) as u64;
    let hole = (room.hole)(Injector::hole_len(count, leader_slot, thread_slot)).ok_or_else(|| {
        crate::error::Error::state(format!("the address space of task {pid} has no room for a batch"))
    })?;
    let place = Place { vdso: room.vdso, vdso_bytes: room.vdso_bytes, hole: RemoteAddr(hole), leftover: room.leftover };
    let mut injector = Injector::enter(threads, &place, leader_slot, thread_slot)?;
    let mut batches = Vec::with_capacity(count);
    let mut questions = Vec::with_capacity(count);
    let mut leader = injector.batch(0, calls);
    let of_process = ProcessQuestions::add(&mut leader, timers);
    questions.push(ThreadQuestions::add(&mut leader, io_uring));
    let eventfds: Vec<_> = eventfds.iter().map(|eventfd| eventfd.ask(&mut leader)).collect();
    let asked: Vec<_> = queues.iter().map(|queues| queues.ask(&mut leader, None)).collect();
    let notices: Vec<_> = notices.iter().map(|question| question.ask(&mut leader, pid)).collect();
    let contexts: Vec<_> = rings.iter().map(|ring| aio::ask(*ring, &mut leader)).collect();
    batches.push((0, leader));
    for i in 1..count {
        let mut batch = injector.batch(i, thread_calls);
        questions.push(ThreadQuestions::add(&mut batch, io_uring));
        batches.push((i, batch));
    }
    injector.run(&mut batches)?;
    let answers = |(queues, asked): (&Queues, _)| Ok((queues.number, queues.answers(pid, asked, &batches[0].1)?));
    let queued = queues.iter().zip(&asked).map(answers).collect::<Result<Vec<_>>>();
    let queued = queued.and_then(|queued| put_ends(&mut injector, pid, queues, &queued, calls).map(|()| queued));
    let adjustments = undo::ask(&mut injector, semaphores)?;
    let lock_future = if room.locked { locks_new_areas(pid, hole)? } else { 0 };
    injector.leave()?;
    let queued = queued?;
    let mut of_process = of_process.answers(&batches[0].1, timers);
    of_process.lock_future = lock_future;
    of_process.queued = queued;
    of_process.adjustments = adjustments;
    of_process.notices = notices.iter().map(|asked| asked.answer(&batches[0].1)).collect::<Result<_>>()?;
    of_process.semaphores = eventfds.iter().filter_map(|question| question.semaphore(&batches[0].1)).collect();
    of_process.contexts = contexts.iter().map(|context| context.answer(pid, &batches[0].1)).collect::<Result<_>>()?;
    let of_threads = questions.iter().zip(&batches).map(|(q, (_, batch))| q.answers(batch)).collect();
    Ok((of_process, of_threads))
}

/// Puts the ends of files right that were put back into queues of lines as zeros.
fn put_ends(
    injector: &mut Injector<'_>,
    pid: Pid,
    queues: &[Queues],
    queued: &[(u32, Queued)],
    calls: usize,
) -> Result<()> {
    let wrong: Vec<_> = queues.iter().zip(queued).filter(|(queues, (_, queued))| queues.has_end(queued)).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let mut batch = injector.batch(0, calls);
    let asked: Vec<_> =
        wrong.iter().map(|(queues, (_, queued))| (queues, queues.ask(&mut batch, Some(&queued[0])))).collect();
    let mut batches = [(0, batch)];
    injector.run(&mut batches)?;
    asked.iter().try_for_each(|(queues, asked)| queues.answers(pid, asked, &batches[0].1).map(drop))
}

/// Whether the kernel locks what the process maps anew: nothing says so but a new area, and the scratch area is one.
fn locks_new_areas(pid: Pid, area: u64) -> Result<i32> {
    use crate::proc::smaps::{self, VmFlags};
    let areas = smaps::read(&crate::proc::ProcDir::open(pid)?, &mut Vec::new())?;
    Ok(match areas.iter().find(|a| a.mapping.range.start == area) {
        Some(area) if super::memory::is_locked_on_fault(area) => libc::MCL_FUTURE | libc::MCL_ONFAULT,
        Some(area) if area.flags.contains(VmFlags::LOCKED) => libc::MCL_FUTURE,
        _ => 0,
    })
}

const ARCH_GET_CPUID: u64 = 0x1011;
const MCE_KILL_DEFAULT: u64 = 2;
const PR_GET_TID_ADDRESS: u64 = 40;
const PR_GET_MDWE: u64 = 66;
const PR_GET_MEMORY_MERGE: u64 = 68;
const MEMBARRIER_CMD_GET_REGISTRATIONS: u64 = 1 << 9;
/// The barriers that only a registered process may ask for (PRIVATE_EXPEDITED, its SYNC_CORE and its RSEQ). The command
/// that registers is twice as large.
const BARRIERS: [u64; 3] = [1 << 3, 1 << 5, 1 << 7];
const SIGSET: u64 = 8;

struct ThreadQuestions {
    altstack: RemoteAddr,
    clear_tid: RemoteAddr,
    pdeath: RemoteAddr,
    securebits: Handle,
    personality: Handle,
    mce_kill: Handle,
    tsc: RemoteAddr,
    cpuid: Option<Handle>,
    timer_slack: Handle,
    own_rings: Vec<Handle>,
}

impl ThreadQuestions {
    fn add(batch: &mut Batch, io_uring: bool) -> ThreadQuestions {
        let altstack = batch.room(24);
        batch.call(libc::SYS_sigaltstack, &[0, altstack.0]);
        let clear_tid = batch.room(8);
        batch.call(libc::SYS_prctl, &[PR_GET_TID_ADDRESS, clear_tid.0]);
        let pdeath = batch.room(4);
        batch.call(libc::SYS_prctl, &[libc::PR_GET_PDEATHSIG as u64, pdeath.0]);
        let securebits = batch.call(libc::SYS_prctl, &[libc::PR_GET_SECUREBITS as u64]);
        let personality = batch.call(libc::SYS_personality, &[u64::from(u32::MAX)]);
        let mce_kill = batch.try_call(libc::SYS_prctl, &[libc::PR_MCE_KILL_GET as u64]);
        let tsc = batch.room(4);
        batch.try_call(libc::SYS_prctl, &[libc::PR_GET_TSC as u64, tsc.0]);
        let cpuid = native::NR_ARCH_PRCTL.map(|nr| batch.try_call(nr, &[ARCH_GET_CPUID]));
        let timer_slack = batch.call(libc::SYS_prctl, &[libc::PR_GET_TIMERSLACK as u64]);
        const ENTER_REGISTERED_RING: u64 = 1 << 4;
        let own_rings = (0..if io_uring { OWN_RINGS as u64 } else { 0 })
            .map(|ring| batch.try_call(libc::SYS_io_uring_enter, &[ring, 0, 0, ENTER_REGISTERED_RING]))
            .collect();
        ThreadQuestions {
            altstack,
            clear_tid,
            pdeath,
            securebits,
            personality,
            mce_kill,
            tsc,
            cpuid,
            timer_slack,
            own_rings,
        }
    }

    fn answers(&self, batch: &Batch) -> OfThread {
        OfThread {
            altstack: (
                batch.u64_at(self.altstack),
                batch.u32_at(self.altstack.plus(8)),
                batch.u64_at(self.altstack.plus(16)),
            ),
            clear_tid: batch.u64_at(self.clear_tid),
            pdeath_signal: batch.u32_at(self.pdeath),
            securebits: batch.result(self.securebits).unwrap_or(0) as u32,
            personality: batch.result(self.personality).unwrap_or(0) as u32,
            mce_kill: batch.result(self.mce_kill).unwrap_or(MCE_KILL_DEFAULT) as u32,
            tsc: batch.u32_at(self.tsc),
            cpuid_faults: self.cpuid.is_some_and(|handle| batch.result(handle) == Ok(0)),
            timer_slack: batch.result(self.timer_slack).unwrap_or(0),
            has_ring: self.own_rings.iter().any(|ring| batch.result(*ring).is_ok()),
        }
    }
}

struct ProcessQuestions {
    actions: RemoteAddr,
    itimers: RemoteAddr,
    timers: Vec<(RemoteAddr, Handle)>,
    subreaper: RemoteAddr,
    dumpable: Handle,
    thp_disable: Handle,
    brk: Handle,
    mdwe: Handle,
    memory_merge: Handle,
    membarrier: Option<Handle>,
    barriers: Vec<(u64, Handle)>,
    limits: RemoteAddr,
    ldt: Option<Handle>,
}

impl ProcessQuestions {
    fn add(batch: &mut Batch, timers: &[Timer]) -> ProcessQuestions {
        let actions = batch.room(SIGNALS * 32);
        for signal in 1..=SIGNALS as u64 {
            batch.call(libc::SYS_rt_sigaction, &[signal, 0, actions.plus((signal - 1) * 32).0, SIGSET]);
        }
        let itimers = batch.room(3 * 32);
        for which in 0..3u64 {
            batch.call(libc::SYS_getitimer, &[which, itimers.plus(which * 32).0]);
        }
        let mut posix = Vec::new();
        for timer in timers {
            let value = batch.room(32);
            batch.call(libc::SYS_timer_gettime, &[timer.id as u64, value.0]);
            posix.push((value, batch.call(libc::SYS_timer_getoverrun, &[timer.id as u64])));
        }
        let ldt = batch.room(16);
        let limits = batch.room(LIMITS * 16);
        for resource in 0..LIMITS as u64 {
            batch.call(libc::SYS_prlimit64, &[0, resource, 0, limits.plus(resource * 16).0]);
        }
        let subreaper = batch.room(4);
        batch.call(libc::SYS_prctl, &[libc::PR_GET_CHILD_SUBREAPER as u64, subreaper.0]);
        // Where the kernel has no list, each barrier is tried: it is refused to whom did not register.
        let listed = kernel::get().lists_barriers;
        let tried = BARRIERS.iter().filter(|_| !listed);
        ProcessQuestions {
            actions,
            itimers,
            timers: posix,
            subreaper,
            dumpable: batch.call(libc::SYS_prctl, &[libc::PR_GET_DUMPABLE as u64]),
            thp_disable: batch.call(libc::SYS_prctl, &[libc::PR_GET_THP_DISABLE as u64]),
            // What is refused changes nothing: the answer is what was.
            brk: batch.try_call(libc::SYS_brk, &[0]),
            mdwe: batch.try_call(libc::SYS_prctl, &[PR_GET_MDWE]),
            memory_merge: batch.try_call(libc::SYS_prctl, &[PR_GET_MEMORY_MERGE]),
            membarrier: listed.then(|| batch.try_call(libc::SYS_membarrier, &[MEMBARRIER_CMD_GET_REGISTRATIONS])),
            barriers: tried.map(|barrier| (*barrier, batch.try_call(libc::SYS_membarrier, &[*barrier]))).collect(),
            limits,
            ldt: native::NR_MODIFY_LDT.map(|nr| batch.try_call(nr, &[0, ldt.0, 16])),
        }
    }

    fn answers(&self, batch: &Batch, timers: &[Timer]) -> OfProcess {
        let pair = |at: RemoteAddr| (batch.u64_at(at), batch.u64_at(at.plus(8)));
        let spec = |at: RemoteAddr| (pair(at), pair(at.plus(16)));
        let action = |i: usize| {
            let at = self.actions.plus(i as u64 * 32);
            let ((handler, flags), (restorer, mask)) = spec(at);
            SigAction { handler, flags, restorer, mask }
        };
        let word = |handle: Handle| batch.result(handle).unwrap_or(0) as u32;
        let registered = self.barriers.iter().filter(|(_, handle)| batch.result(*handle).is_ok());
        let barriers = registered.fold(0, |set, (barrier, _)| set | (*barrier as u32) << 1);
        OfProcess {
            actions: (0..SIGNALS).map(action).collect(),
            itimers: [0, 1, 2].map(|which| spec(self.itimers.plus(which * 32))),
            timers: timers
                .iter()
                .zip(&self.timers)
                .map(|(about, (at, overrun))| {
                    let (interval, value) = spec(*at);
                    PosixTimer { about: about.clone(), interval, value, overrun: word(*overrun) }
                })
                .collect(),
            subreaper: batch.u32_at(self.subreaper) != 0,
            dumpable: word(self.dumpable) as i32,
            thp_disable: word(self.thp_disable),
            brk: batch.result(self.brk).unwrap_or(0),
            mdwe: word(self.mdwe),
            memory_merge: word(self.memory_merge) != 0,
            membarrier: self.membarrier.map_or(0, word) | barriers,
            has_ldt: self.ldt.is_some_and(|handle| batch.result(handle).is_ok_and(|bytes| bytes > 0)),
            lock_future: 0,
            semaphores: Vec::new(),
            queued: Vec::new(),
            adjustments: Vec::new(),
            notices: Vec::new(),
            contexts: Vec::new(),
            limits: (0..LIMITS as u64).map(|resource| pair(self.limits.plus(resource * 16))).collect(),
        }
    }
}
