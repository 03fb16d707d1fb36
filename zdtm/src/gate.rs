//! The harness's side of the gate: the futex word that a case and the harness share through `DIR/gate`.

use crate::sys::Word;
use anyhow::Context as _;
use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

/// The words, as in the cases' `gate.rs`.
pub mod state {
    /// The case is setting its state up.
    pub const STARTING: u32 = 0;
    /// The state is set up; the harness may dump.
    pub const READY: u32 = 1;
    /// The harness is through; the case checks its state.
    pub const GO: u32 = 2;
}

/// The gate of one scratch directory.
pub struct Gate {
    word: Word,
}

impl Gate {
    /// Maps `dir/gate`, made where it is missing.
    pub fn open(dir: &Path) -> anyhow::Result<Gate> {
        let path = dir.join("gate");
        let open = || -> std::io::Result<Word> {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
            file.set_len(4096)?;
            Word::map(&file)
        };
        Ok(Gate { word: open().with_context(|| format!("failed to open the gate {}", path.display()))? })
    }

    /// Waits a moment for the case to be ready; says whether it is.
    pub fn ready_within(&self, limit: Duration) -> bool {
        if self.word.load() == state::STARTING {
            self.word.wait(state::STARTING, limit);
        }
        self.word.load() != state::STARTING
    }

    /// Puts the word back to `READY`: a restored case waits again.
    pub fn close(&self) {
        self.word.store(state::READY);
    }

    /// Lets the case check its state.
    pub fn go(&self) {
        self.word.store(state::GO);
    }
}
