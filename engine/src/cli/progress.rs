//! The progress bar: only on a terminal, and only where there is enough to wait for.

use std::io::IsTerminal;
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::options::Progress;

/// Up to this many bytes a bar would be gone before it is seen.
const WORTH_A_BAR: u64 = 256 << 20;

/// Shows each transfer of more than 256 MiB as a bar on standard error, if that is a terminal.
#[derive(Default)]
pub struct TerminalProgress {
    bar: Mutex<Option<ProgressBar>>,
}

impl TerminalProgress {
    fn begin(&self, what: &str, bytes: u64, target: ProgressDrawTarget) {
        let bar = ProgressBar::with_draw_target(Some(bytes), target);
        let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        if let Ok(mut slot) = self.bar.lock() {
            *slot = Some(bar);
        }
    }
}

impl Progress for TerminalProgress {
    fn start(&self, what: &str, bytes: u64) {
        if bytes > WORTH_A_BAR && std::io::stderr().is_terminal() {
            self.begin(what, bytes, ProgressDrawTarget::stderr());
        }
    }

    fn add(&self, bytes: u64) {
        if let Ok(slot) = self.bar.lock()
            && let Some(bar) = slot.as_ref()
        {
            bar.inc(bytes);
        }
    }

    fn finish(&self) {
        if let Ok(mut slot) = self.bar.lock()
            && let Some(bar) = slot.take()
        {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_add_up_until_the_end() {
        let progress = TerminalProgress::default();
        progress.begin("writing pages", 300 << 20, ProgressDrawTarget::hidden());
        progress.add(1 << 20);
        progress.add(2 << 20);
        let bar = progress.bar.lock().expect("the bar").clone().expect("a bar");
        assert_eq!((bar.position(), bar.length()), (3 << 20, Some(300 << 20)));
        progress.finish();
        assert!(bar.is_finished() && progress.bar.lock().expect("the bar").is_none());
    }

    #[test]
    fn little_work_has_no_bar() {
        let progress = TerminalProgress::default();
        progress.start("writing pages", WORTH_A_BAR);
        progress.add(1);
        assert!(progress.bar.lock().expect("the bar").is_none());
        progress.finish();
    }
}
