//! A thread in sigsuspend goes on waiting; the signal that its temporary mask lets through runs the handler under the
//! right mask, the call ends with EINTR, and the old mask comes back. A signal that the mask holds back waits.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_signals::{caught, change_mask, count, current_mask, mask, pending, tgkill};
use crate::tools_tasks::{Word, gettid, outcome};
use crate::tools_threads::blocked;

pub fn run(gate: &mut Gate) -> Verdict {
    static TID: Word = Word::new();
    count(libc::SIGUSR1, 0)?;
    count(libc::SIGUSR2, 0)?;
    let suspend = || {
        TID.set(gettid() as u32);
        let (before, during) = (mask(&[libc::SIGUSR1, libc::SIGUSR2, libc::SIGTERM]), mask(&[libc::SIGUSR2]));
        change_mask(libc::SIG_SETMASK, before);
        // SAFETY: the mask is valid during the call.
        let done = outcome(unsafe { libc::syscall(libc::SYS_rt_sigsuspend, &raw const during, 8usize) });
        (done, current_mask() == before, pending())
    };
    let wake = || {
        tgkill(TID.get() as i32, libc::SIGUSR2)?;
        std::thread::sleep(std::time::Duration::from_millis(50));
        check_eq("signals caught too early", [libc::SIGUSR1, libc::SIGUSR2].map(caught), [0, 0])?;
        tgkill(TID.get() as i32, libc::SIGUSR1)
    };
    let done = blocked(gate, libc::SYS_rt_sigsuspend, suspend, wake)?;
    check_eq("result, old mask back, pending", done, ((-1, libc::EINTR), true, mask(&[libc::SIGUSR2])))?;
    check_eq("signals caught", [libc::SIGUSR1, libc::SIGUSR2].map(caught), [1, 0])
}
