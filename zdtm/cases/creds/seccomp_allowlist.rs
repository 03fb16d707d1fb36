//! A task whose filter kills it for any call but the few that it needs: it survives, waiting and computing, and is
//! killed for a call that is not on the list.
use crate::gate::{Gate, Verdict, check_eq, fail};
use crate::tools::wait_ok;
use crate::tools_creds::Filter;
use crate::tools_tasks::{Word, child, must, wait_status};

pub fn run(gate: &mut Gate) -> Verdict {
    let up = Word::shared()?;
    let allowed = [libc::SYS_futex, libc::SYS_exit_group].map(|nr| (nr, None, libc::SECCOMP_RET_ALLOW));
    let filter = Filter { rules: allowed.to_vec(), others: libc::SECCOMP_RET_KILL_PROCESS };
    let waiting = child(gate, |gate| {
        must("a filter", filter.install(0))?;
        up.bump();
        gate.wait();
        Ok(())
    })?;
    let computing = child(gate, |gate| {
        must("a filter", filter.install(0))?;
        up.bump();
        while !gate.passed() {
            std::hint::spin_loop();
        }
        Ok(())
    })?;
    let careless = child(gate, |gate| {
        must("a filter", filter.install(0))?;
        up.bump();
        gate.wait();
        // SAFETY: a call that the filter forbids.
        unsafe { libc::syscall(libc::SYS_getppid) };
        fail("a forbidden call did not kill")
    })?;
    up.wait_for(3);
    gate.checkpoint()?;
    wait_ok(waiting)?;
    wait_ok(computing)?;
    check_eq("the end for a forbidden call", wait_status(careless.as_raw(), 0).1 & 0x7f, libc::SIGSYS)
}
