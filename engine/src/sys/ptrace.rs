//! ptrace(2). All calls must come from the thread that attached.

mod watchdog;

use super::{Errno, Pid, RemoteAddr, Result, check};
use stasis_arch::native::{self, Regs};
use stasis_arch::state::State;
use std::os::raw::c_int;
use zerocopy::IntoBytes;

/// PTRACE_O_* bits.
pub mod options {
    /// Attach to children made by fork, vfork and clone, and report them.
    pub const TRACE_CHILDREN: i32 = libc::PTRACE_O_TRACEFORK | libc::PTRACE_O_TRACEVFORK | libc::PTRACE_O_TRACECLONE;
    /// Report execve.
    pub const TRACE_EXEC: i32 = libc::PTRACE_O_TRACEEXEC;
    /// Kill the tracee when the tracer is gone.
    pub const EXIT_KILL: i32 = libc::PTRACE_O_EXITKILL;
    /// Tell system call stops from SIGTRAP.
    pub const SYSGOOD: i32 = libc::PTRACE_O_TRACESYSGOOD;
    /// Seccomp does not act on the tracee (needs CAP_SYS_ADMIN and CONFIG_CHECKPOINT_RESTORE).
    pub const SUSPEND_SECCOMP: i32 = 0x0020_0000;
}

const PTRACE_GETSIGMASK: u32 = 0x420a;
const PTRACE_SETSIGMASK: u32 = 0x420b;
const PTRACE_SECCOMP_GET_FILTER: u32 = 0x420c;
const PTRACE_SECCOMP_GET_METADATA: u32 = 0x420d;
const PTRACE_GET_RSEQ_CONFIGURATION: u32 = 0x420f;
const PTRACE_PEEKSIGINFO_SHARED: u32 = 1;

fn ptrace(request: u32, pid: Pid, addr: usize, data: usize) -> Result<i64> {
    // SAFETY: the callers below pass for each request what ptrace(2) asks for; pointers are to live buffers.
    check(unsafe { libc::ptrace(request as _, pid.as_raw(), addr, data) })
}

/// Attaches without stopping (PTRACE_SEIZE).
pub fn seize(pid: Pid, options: i32) -> Result<()> {
    ptrace(libc::PTRACE_SEIZE, pid, 0, options as usize).map(drop)
}

/// Asks a seized task to stop; the stop is reported by wait (PTRACE_INTERRUPT).
pub fn interrupt(pid: Pid) -> Result<()> {
    ptrace(libc::PTRACE_INTERRUPT, pid, 0, 0).map(drop)
}

/// Lets a stopped task run, with a signal to deliver or 0.
pub fn cont(pid: Pid, signal: i32) -> Result<()> {
    ptrace(libc::PTRACE_CONT, pid, 0, signal as usize).map(drop)
}

/// Lets a stopped task run until it enters or leaves a system call.
pub fn cont_to_syscall(pid: Pid) -> Result<()> {
    ptrace(libc::PTRACE_SYSCALL, pid, 0, 0).map(drop)
}

/// Leaves a group-stopped task stopped, but notices when it is continued (PTRACE_LISTEN).
pub fn listen(pid: Pid) -> Result<()> {
    ptrace(libc::PTRACE_LISTEN, pid, 0, 0).map(drop)
}

/// Detaches, with a signal to deliver or 0.
pub fn detach(pid: Pid, signal: i32) -> Result<()> {
    ptrace(libc::PTRACE_DETACH, pid, 0, signal as usize).map(drop)
}

/// Changes the options (PTRACE_SETOPTIONS).
pub fn set_options(pid: Pid, options: i32) -> Result<()> {
    ptrace(libc::PTRACE_SETOPTIONS, pid, 0, options as usize).map(drop)
}

/// The message of the last event: the new task's pid after fork or clone.
pub fn event_message(pid: Pid) -> Result<u64> {
    let mut message: libc::c_ulong = 0;
    ptrace(libc::PTRACE_GETEVENTMSG, pid, 0, &raw mut message as usize)?;
    Ok(message as u64)
}

/// Reads a register set into `buffer`; the number of bytes that the kernel gave, which is cut to the buffer's length.
fn get_set(pid: Pid, note: u32, buffer: &mut [u8]) -> Result<usize> {
    let mut iov = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    ptrace(libc::PTRACE_GETREGSET, pid, note as usize, &raw mut iov as usize)?;
    Ok(iov.iov_len)
}

fn put_set(pid: Pid, note: u32, bytes: &[u8]) -> Result<()> {
    let mut iov = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    ptrace(libc::PTRACE_SETREGSET, pid, note as usize, &raw mut iov as usize).map(drop)
}

/// The integer registers. ENOTSUP for a task of another ABI, which gives a shorter register file.
pub fn regs(pid: Pid) -> Result<Regs> {
    let mut regs = Regs::default();
    for set in native::REGISTER_SETS {
        let place = &mut regs.as_mut_bytes()[set.offset..][..set.len];
        if get_set(pid, set.note, place)? != set.len {
            return Err(Errno::ENOTSUP);
        }
    }
    Ok(regs)
}

/// Sets the integer registers.
pub fn set_regs(pid: Pid, regs: &Regs) -> Result<()> {
    native::REGISTER_SETS.iter().try_for_each(|set| put_set(pid, set.note, &regs.as_bytes()[set.offset..][..set.len]))
}

/// A register set in the kernel's layout, into `buffer`, which is reused: whether the CPU and the thread have it.
pub fn register_set(pid: Pid, note: u32, buffer: &mut Vec<u8>) -> Result<bool> {
    const FIRST: usize = 16384;
    const MOST: usize = 1 << 20;
    buffer.resize(buffer.capacity().max(FIRST), 0);
    loop {
        match get_set(pid, note, buffer) {
            Ok(len) if len == buffer.len() && len < MOST => buffer.resize(len * 2, 0),
            Ok(len) => {
                buffer.truncate(len);
                return Ok(len > 0);
            }
            // unknown to the kernel; not on this CPU; not in use by the thread
            Err(Errno::EINVAL | Errno::ENODEV | Errno::ENODATA | Errno::EIO) => return Ok(false),
            Err(e) => return Err(e),
        }
    }
}

/// Those of `notes` that there are; `state` is reused.
pub fn register_sets(pid: Pid, notes: &[u32], state: &mut State) -> Result<()> {
    let mut spare = std::mem::take(&mut state.sets).into_iter().map(|(_, buffer)| buffer);
    for &note in notes {
        let mut buffer = spare.next().unwrap_or_default();
        if register_set(pid, note, &mut buffer)? {
            state.sets.push((note, buffer));
        }
    }
    Ok(())
}

/// Everything of a thread besides its integer registers; `state` is reused.
pub fn state(pid: Pid, state: &mut State) -> Result<()> {
    register_sets(pid, native::state::SETS, state)?;
    state.descriptors.clear();
    state.descriptors.extend(native::state::DESCRIPTORS.map(|entry| (entry, thread_area(pid, entry).ok())));
    Ok(())
}

/// Sets all of `state`, in its order.
pub fn set_state(pid: Pid, state: &State) -> Result<()> {
    state.sets.iter().try_for_each(|(note, bytes)| put_set(pid, *note, bytes))?;
    state.descriptors.iter().filter_map(|(_, desc)| *desc).try_for_each(|desc| set_thread_area(pid, &desc))
}

/// The blocked signals; inside sigsuspend and its like the mask that will be given back.
pub fn sigmask(pid: Pid) -> Result<u64> {
    let mut mask = 0u64;
    ptrace(PTRACE_GETSIGMASK, pid, 8, &raw mut mask as usize)?;
    Ok(mask)
}

/// Sets the blocked signals.
pub fn set_sigmask(pid: Pid, mask: u64) -> Result<()> {
    ptrace(PTRACE_SETSIGMASK, pid, 8, &raw const mask as usize).map(drop)
}

/// A queued signal as the kernel holds it: `siginfo_t`, 128 bytes.
pub type RawSiginfo = [u8; 128];

/// All queued signals of the thread, or of its process where `shared`, in their order. They stay queued.
pub fn queued_signals(pid: Pid, shared: bool) -> Result<Vec<RawSiginfo>> {
    #[repr(C)]
    struct Args {
        off: u64,
        flags: u32,
        nr: i32,
    }
    const AT_ONCE: usize = 32;
    let mut all = Vec::new();
    loop {
        let mut chunk = [[0u8; 128]; AT_ONCE];
        let flags = if shared { PTRACE_PEEKSIGINFO_SHARED } else { 0 };
        let args = Args { off: all.len() as u64, flags, nr: AT_ONCE as i32 };
        let got =
            ptrace(libc::PTRACE_PEEKSIGINFO, pid, &raw const args as usize, chunk.as_mut_ptr() as usize)? as usize;
        all.extend_from_slice(&chunk[..got.min(AT_ONCE)]);
        if got < AT_ONCE {
            return Ok(all);
        }
    }
}

/// A thread's restartable sequence registration.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct RseqConfiguration {
    /// Address of the thread's `struct rseq`; 0 when none is registered.
    pub pointer: u64,
    /// Its size in bytes, as registered.
    pub size: u32,
    /// The signature that stands before abort handlers.
    pub signature: u32,
    /// Unused.
    pub flags: u32,
    /// Unused.
    pub pad: u32,
}

/// The rseq registration (Linux 5.13).
pub fn rseq(pid: Pid) -> Result<RseqConfiguration> {
    let mut conf = RseqConfiguration::default();
    ptrace(PTRACE_GET_RSEQ_CONFIGURATION, pid, size_of::<RseqConfiguration>(), &raw mut conf as usize)?;
    Ok(conf)
}

/// The seccomp filter `index` of a task, the first installed first: 8 bytes an instruction. ENOENT past the last.
pub fn seccomp_filter(pid: Pid, index: usize) -> Result<Vec<u8>> {
    let count = ptrace(PTRACE_SECCOMP_GET_FILTER, pid, index, 0)? as usize;
    let mut program = vec![0u8; count * 8];
    ptrace(PTRACE_SECCOMP_GET_FILTER, pid, index, program.as_mut_ptr() as usize)?;
    Ok(program)
}

/// The flags with which the seccomp filter `index` was installed (SECCOMP_FILTER_FLAG_LOG is the only one kept).
pub fn seccomp_flags(pid: Pid, index: usize) -> Result<u64> {
    let mut metadata = [index as u64, 0];
    ptrace(PTRACE_SECCOMP_GET_METADATA, pid, size_of_val(&metadata), metadata.as_mut_ptr() as usize)?;
    Ok(metadata[1])
}

/// Writes a word of 8 bytes into any mapping of a stopped task, also a read-only one, which becomes private.
pub fn poke(pid: Pid, at: RemoteAddr, word: u64) -> Result<()> {
    ptrace(libc::PTRACE_POKEDATA, pid, at.0 as usize, word as usize).map(drop)
}

/// Writes bytes by [`poke`], which also tells CPUs with separate caches of instructions; the address is a multiple of 8,
/// and what is missing to a whole word is written as zero.
pub fn poke_bytes(pid: Pid, at: RemoteAddr, bytes: &[u8]) -> Result<()> {
    for (i, chunk) in bytes.chunks(8).enumerate() {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        poke(pid, at.plus(i as u64 * 8), u64::from_ne_bytes(word))?;
    }
    Ok(())
}

/// The mode of PR_SET_SYSCALL_USER_DISPATCH of a thread, 0 for off (Linux 6.4).
pub fn user_dispatch(pid: Pid) -> Result<u64> {
    const PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG: u32 = 0x4211;
    // struct ptrace_sud_config: mode, selector, offset, len
    let mut config = [0u64; 4];
    ptrace(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, pid, size_of_val(&config), config.as_mut_ptr() as usize)?;
    Ok(config[0])
}

const PTRACE_GET_THREAD_AREA: u32 = 25;
const PTRACE_SET_THREAD_AREA: u32 = 26;

/// An entry of the thread's part of the descriptor table (x86): `struct user_desc`, number, base, limit, bits.
fn thread_area(pid: Pid, entry: u32) -> Result<[u32; 4]> {
    let mut desc = [0u32; 4];
    ptrace(PTRACE_GET_THREAD_AREA, pid, entry as usize, desc.as_mut_ptr() as usize)?;
    Ok(desc)
}

/// Sets an entry of the thread's part of the descriptor table (x86).
fn set_thread_area(pid: Pid, desc: &[u32; 4]) -> Result<()> {
    ptrace(PTRACE_SET_THREAD_AREA, pid, desc[0] as usize, desc.as_ptr() as usize).map(drop)
}

/// What wait reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Exited with this code.
    Exited(i32),
    /// Killed by this signal.
    Killed(i32),
    /// Stopped: the signal and the ptrace event (0 when none).
    Stopped {
        /// The stop signal; bit 7 is set at a system call stop under [`options::SYSGOOD`].
        signal: i32,
        /// PTRACE_EVENT_*.
        event: i32,
    },
}

/// PTRACE_EVENT_STOP: stopped by interrupt, at birth, or in a group stop.
pub const EVENT_STOP: i32 = 128;

impl Event {
    fn from_status(status: c_int) -> Event {
        if libc::WIFEXITED(status) {
            Event::Exited(libc::WEXITSTATUS(status))
        } else if libc::WIFSIGNALED(status) {
            Event::Killed(libc::WTERMSIG(status))
        } else {
            Event::Stopped { signal: libc::WSTOPSIG(status), event: status >> 16 }
        }
    }

    /// Whether the task is gone.
    pub fn is_end(self) -> bool {
        !matches!(self, Event::Stopped { .. })
    }
}

/// Waits for the task (or any, with pid -1) to stop or end; `None` when nothing is there yet and `block` is false.
pub fn wait(pid: Pid, block: bool) -> Result<Option<(Pid, Event)>> {
    let flags = libc::__WALL | if block { 0 } else { libc::WNOHANG };
    let _watched = block.then(|| watchdog::Waiting::on(pid));
    loop {
        let mut status = 0;
        // SAFETY: status is a valid place for the result.
        match check(unsafe { libc::waitpid(pid.as_raw(), &mut status, flags) }.into()) {
            Ok(0) => return Ok(None),
            Ok(pid) => return Ok(Some((Pid::from_raw(pid as i32), Event::from_status(status)))),
            Err(Errno::EINTR) => continue,
            Err(e) => return Err(e),
        }
    }
}
