//! A thread caught three handlers deep: each returns to the one below it, with its mask and its numbers.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_signals::{Action, action, count, current_mask, mask, set_action, tgkill};
use crate::tools_tasks::{Word, gettid};
use crate::tools_threads::{join, spawn};
use std::ffi::c_int;
use std::sync::Mutex;

static STEP: Word = Word::new();
/// The signal, the mask and a number of each handler as it returns.
static RETURNS: Mutex<Vec<(c_int, u64, f64)>> = Mutex::new(Vec::new());

fn order() -> [c_int; 3] {
    [libc::SIGUSR1, libc::SIGRTMIN() + 1, libc::SIGHUP]
}

extern "C" fn handler(signal: c_int) {
    let number = std::hint::black_box(f64::from(signal)).sqrt();
    let order = order();
    match order.iter().position(|s| *s == signal).and_then(|at| order.get(at + 1)) {
        Some(next) => tgkill(gettid(), *next).unwrap_or_default(),
        None => {
            STEP.bump();
            STEP.wait_for(2);
        }
    }
    if let Ok(mut returns) = RETURNS.lock() {
        returns.push((signal, current_mask(), number));
    }
}

pub fn run(gate: &mut Gate) -> Verdict {
    let [first, second, third] = order();
    for (signal, extra) in [(first, 0), (second, mask(&[libc::SIGTERM])), (third, mask(&[libc::SIGRTMAX()]))] {
        count(signal, 0)?;
        let changed = Action { handler: handler as *const () as usize, mask: extra, ..action(signal)? };
        // SAFETY: the handler takes one argument, as the flags say.
        unsafe { set_action(signal, &changed)? };
    }
    let thread = spawn(|| {
        let number = std::hint::black_box(2.0f64).ln();
        tgkill(gettid(), order()[0])?;
        check_eq("the number after all handlers", number, 2.0f64.ln())?;
        check_eq("the mask after all handlers", current_mask(), 0)
    })?;
    STEP.wait_for(1);
    gate.checkpoint()?;
    STEP.bump();
    join(thread)??;
    let bare = mask(&[first]);
    let middle = bare | mask(&[second, libc::SIGTERM]);
    let inner = middle | mask(&[third, libc::SIGRTMAX()]);
    let root = |signal: c_int| f64::from(signal).sqrt();
    let wanted = vec![(third, inner, root(third)), (second, middle, root(second)), (first, bare, root(first))];
    check_eq("signals, masks, numbers as the handlers return", std::mem::take(&mut *RETURNS.lock()?), wanted)
}
