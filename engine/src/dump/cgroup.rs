//! `--freeze-cgroup`: the cgroup's freezer holds the tree still while every task of it is told to stop, so that nothing
//! is born meanwhile. Then the cgroup is thawed (a task in a frozen cgroup of version 1 cannot stop for a tracer) and
//! every task goes straight into its stop. A cgroup that was frozen before is frozen again in the end.

use crate::error::{Doing, Error, Result};
use crate::guardian::{self, Noted, Undo};
use crate::options::DumpOptions;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The freezer of a cgroup.
pub struct Cgroup {
    /// `freezer.state` or `cgroup.freeze`.
    file: PathBuf,
    version: u8,
    /// Undoes what was done to it last.
    noted: Option<Noted>,
}

impl Cgroup {
    /// The cgroup of `--freeze-cgroup`, if one is given.
    pub fn find(options: &DumpOptions) -> Result<Option<Cgroup>> {
        let Some(dir) = &options.freeze_cgroup else { return Ok(None) };
        for (name, version) in [("cgroup.freeze", 2), ("freezer.state", 1)] {
            let file = dir.join(name);
            if file.exists() {
                return Ok(Some(Cgroup { file, version, noted: None }));
            }
        }
        let help = "give the directory of a cgroup below a mounted hierarchy; a root cgroup cannot be frozen";
        Err(Error::state(format!("{} has neither cgroup.freeze nor freezer.state", dir.display())).with_help(help))
    }

    /// Freezes it and waits until it is frozen. Returns false where it was frozen already.
    pub fn freeze(&mut self, deadline: Instant) -> Result<bool> {
        if self.is_frozen()? {
            return Ok(false);
        }
        self.noted = Some(guardian::note(&Undo::Frozen { file: self.file.clone(), version: self.version })?);
        let word = if self.version == 2 { "1" } else { "FROZEN" };
        loop {
            // Version 1 gives up on a task that will not freeze and tries again when it is told to.
            std::fs::write(&self.file, word).doing(|| format!("freeze the cgroup of {}", self.file.display()))?;
            if self.is_frozen()? {
                return Ok(true);
            }
            crate::cancel::check()?;
            if Instant::now() > deadline {
                let what = format!("the cgroup of {} did not freeze in time", self.file.display());
                return Err(Error::state(what).with_help("allow more with --timeout"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Thaws it. One that was frozen before us will be frozen again when this is dropped.
    pub fn thaw(&mut self, frozen_by_us: bool) -> Result<()> {
        let word = if self.version == 2 { "0" } else { "THAWED" };
        if !frozen_by_us {
            self.noted = Some(guardian::note(&Undo::Thawed { file: self.file.clone(), version: self.version })?);
        }
        std::fs::write(&self.file, word).doing(|| format!("thaw the cgroup of {}", self.file.display()))?;
        if frozen_by_us && let Some(noted) = self.noted.take() {
            noted.keep();
        }
        Ok(())
    }

    fn is_frozen(&self) -> Result<bool> {
        let file = if self.version == 2 { self.file.with_file_name("cgroup.events") } else { self.file.clone() };
        let text = std::fs::read_to_string(&file).doing(|| format!("read {}", file.display()))?;
        Ok(text.lines().any(|line| matches!(line, "frozen 1" | "FROZEN")))
    }
}
