//! Ends a wait that would last for ever: the death of a thread-group leader is not reported as long as another thread of
//! its group has died and was not waited for. A thread of ours looks at each wait that lasts and waits for these.

use super::super::{Pid, Result, check};
use std::sync::Once;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// The task that is being waited for, 0 for none; one thread traces.
static WAITING: AtomicI32 = AtomicI32::new(0);
const PERIOD: Duration = Duration::from_millis(100);

/// A wait; it is over when this is dropped.
pub struct Waiting(());

impl Waiting {
    /// Says that a wait for `pid` begins.
    pub fn on(pid: Pid) -> Waiting {
        static STARTED: Once = Once::new();
        STARTED.call_once(|| {
            let thread = std::thread::Builder::new().name("watchdog".to_owned());
            if let Err(e) = thread.spawn(watch) {
                tracing::warn!("waits for tasks are not watched over: {e}");
            }
        });
        WAITING.store(pid.as_raw(), Ordering::SeqCst);
        Waiting(())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.store(0, Ordering::SeqCst);
    }
}

fn watch() {
    let mut before = 0;
    loop {
        std::thread::sleep(PERIOD);
        let now = WAITING.load(Ordering::SeqCst);
        if now != 0 && now == before && is_dead(&format!("/proc/{now}/stat")) {
            let _ = reap_threads(now);
        }
        before = now;
    }
}

fn is_dead(stat: &str) -> bool {
    let text = std::fs::read_to_string(stat).unwrap_or_default();
    text.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// Waits for the dead threads of a process besides its leader.
fn reap_threads(leader: i32) -> std::io::Result<()> {
    for entry in std::fs::read_dir(format!("/proc/{leader}/task"))? {
        let name = entry?.file_name();
        let Some(tid) = name.to_str().and_then(|name| name.parse::<i32>().ok()).filter(|&tid| tid != leader) else {
            continue;
        };
        if is_dead(&format!("/proc/{leader}/task/{tid}/stat")) {
            let _ = reap(tid);
        }
    }
    Ok(())
}

fn reap(tid: i32) -> Result<()> {
    // SAFETY: the status is not asked for.
    check(unsafe { libc::waitpid(tid, std::ptr::null_mut(), libc::__WALL | libc::WNOHANG) }.into()).map(drop)
}
