//! A process went to another machine's name (PER_LINUX32) when it had a thread: the thread keeps the old name.
use crate::gate::{Gate, Verdict, check, check_eq, fail};
use crate::tools_creds::must_call;
use crate::tools_tasks::Word;
use crate::tools_threads::{join, spawn};

const PER_LINUX32: i64 = 8;

/// The machine as uname(2) tells it, and the domain as /proc does.
fn observe() -> Verdict<(String, String)> {
    let machine = nix::sys::utsname::uname()?.machine().to_string_lossy().into_owned();
    Ok((machine, std::fs::read_to_string("/proc/thread-self/personality")?))
}

pub fn run(gate: &mut Gate) -> Verdict {
    let (ready, go) = (Word::shared()?, Word::shared()?);
    let before = observe()?;
    let thread = spawn(move || {
        let old = observe()?;
        ready.set(1);
        go.wait_for(1);
        check_eq("what the thread observes", observe()?, old)
    })?;
    ready.wait_for(1);
    must_call(libc::SYS_personality, [PER_LINUX32, 0, 0])?;
    let changed = observe()?;
    if changed.0 == before.0 {
        return fail("the machine has the same name as before");
    }
    gate.checkpoint()?;
    check_eq("what the main thread observes", observe()?, changed)?;
    check("another domain than before", observe()?.1 != before.1)?;
    go.set(1);
    join(thread)?
}
