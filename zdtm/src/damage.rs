//! Damage to images (`//@ damage:`): each makes a restore fail in one way, and is undone afterwards.
//!
//! `VERB GLOB`, with the verbs `remove`, `truncate` (to half), `flip` (one bit in the middle) and `append` (a byte).
//! The glob (`*` and `?`) names files of the image directory, or files of the scratch directory after `scratch:`. Each
//! file that matches is damaged by itself, one after another. `take-pid` stands alone: the root's pid is taken.

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// One declared damage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Damage {
    /// A process sits on the pid that the root of the tree had.
    TakePid,
    /// Files are changed.
    Files(Verb, Place, String),
}

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verb {
    /// It is gone.
    Remove,
    /// Its second half is gone.
    Truncate,
    /// One bit in its middle is wrong.
    Flip,
    /// It has one byte more.
    Append,
}

/// Where the files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// In the image directory.
    Images,
    /// In the case's scratch directory.
    Scratch,
}

impl Damage {
    /// Parses `VERB GLOB`.
    pub fn parse(text: &str) -> anyhow::Result<Damage> {
        if text == "take-pid" {
            return Ok(Damage::TakePid);
        }
        let (verb, glob) = text.split_once(' ').with_context(|| format!("`{text}` is no `VERB GLOB`"))?;
        let verb = match verb {
            "remove" => Verb::Remove,
            "truncate" => Verb::Truncate,
            "flip" => Verb::Flip,
            "append" => Verb::Append,
            _ => bail!("`{verb}` is no damage"),
        };
        let (place, glob) = match glob.trim().strip_prefix("scratch:") {
            Some(glob) => (Place::Scratch, glob),
            None => (Place::Images, glob.trim()),
        };
        Ok(Damage::Files(verb, place, glob.to_owned()))
    }
}

/// The regular files of `dir` whose names match; none is an error, for then the damage would do nothing.
pub fn matching(dir: &Path, glob: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("failed to list {}", dir.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        // What the engine says and counts is no part of the state.
        let text = name.to_string_lossy();
        let log = text.ends_with(".log") || text.ends_with(".out") || text.starts_with("stats-");
        if entry.file_type()?.is_file() && !log && glob_matches(glob.as_bytes(), name.as_encoded_bytes()) {
            found.push(entry.path());
        }
    }
    if found.is_empty() {
        bail!("no file in {} matches {glob}", dir.display());
    }
    found.sort();
    Ok(found)
}

/// A file that is damaged as long as this lives.
pub struct Damaged {
    path: PathBuf,
    saved: Saved,
    /// What was done, for messages.
    pub what: String,
}

enum Saved {
    /// The file itself, moved out of the way with owner, mode and links.
    Aside(PathBuf),
    /// What was in it, and its time.
    Content(Vec<u8>, SystemTime),
}

impl Damaged {
    /// Damages a file; none where it is too small to be damaged that way.
    pub fn new(verb: Verb, path: &Path) -> anyhow::Result<Option<Damaged>> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let because = || format!("failed to damage {}", path.display());
        if verb == Verb::Remove {
            // Both directories lie in the run's.
            let aside = path.ancestors().nth(2).context("the file has no directory")?.join("set-aside");
            fs::rename(path, &aside).with_context(because)?;
            let what = format!("{name} removed");
            return Ok(Some(Damaged { path: path.to_owned(), saved: Saved::Aside(aside), what }));
        }
        let content = fs::read(path).with_context(because)?;
        let time = fs::metadata(path).and_then(|m| m.modified()).with_context(because)?;
        let Some((bytes, how)) = altered(verb, &content) else { return Ok(None) };
        fs::write(path, bytes).with_context(because)?;
        let what = format!("{name} {how}");
        Ok(Some(Damaged { path: path.to_owned(), saved: Saved::Content(content, time), what }))
    }

    /// Puts the file back.
    pub fn undo(self) -> anyhow::Result<()> {
        let back = || match &self.saved {
            Saved::Aside(aside) => fs::rename(aside, &self.path),
            Saved::Content(content, time) => {
                fs::write(&self.path, content)?;
                fs::File::options().write(true).open(&self.path)?.set_modified(*time)
            }
        };
        back().with_context(|| format!("failed to put {} back", self.path.display()))
    }
}

/// The content after the damage, and the damage in words; none where there is too little to damage.
fn altered(verb: Verb, content: &[u8]) -> Option<(Vec<u8>, &'static str)> {
    let mut bytes = content.to_owned();
    let middle = bytes.len() / 2;
    match verb {
        Verb::Remove => None,
        Verb::Truncate => {
            bytes.truncate(middle);
            (!content.is_empty()).then_some((bytes, "truncated to half"))
        }
        Verb::Flip => {
            *bytes.get_mut(middle)? ^= 0x10;
            Some((bytes, "with a bit flipped"))
        }
        Verb::Append => {
            bytes.push(0x2a);
            Some((bytes, "with a byte appended"))
        }
    }
}

/// Whether a name matches a pattern of `*` and `?`.
fn glob_matches(glob: &[u8], name: &[u8]) -> bool {
    match (glob.first(), name.first()) {
        (None, None) => true,
        (Some(b'*'), _) => glob_matches(&glob[1..], name) || (!name.is_empty() && glob_matches(glob, &name[1..])),
        (Some(b'?'), Some(_)) => glob_matches(&glob[1..], &name[1..]),
        (Some(a), Some(b)) if a == b => glob_matches(&glob[1..], &name[1..]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (glob, name, want) in [
            ("core-*", "core-12.img", true),
            ("core-*.img", "core-12.img", true),
            ("core-*", "mm-12.img", false),
            ("?m-*", "mm-1", true),
            ("*", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b", "abc", false),
        ] {
            assert_eq!(glob_matches(glob.as_bytes(), name.as_bytes()), want, "{glob} {name}");
        }
    }

    #[test]
    fn damage_is_undone() {
        let run = std::env::temp_dir().join(format!("zdtm-damage-{}", std::process::id()));
        let dir = run.join("img-1");
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("core-1.img");
        fs::write(&path, b"abcd").unwrap();
        for (verb, want) in [(Verb::Truncate, &b"ab"[..]), (Verb::Flip, b"absd"), (Verb::Append, b"abcd*")] {
            let damaged = Damaged::new(verb, &path).unwrap().unwrap();
            assert_eq!(fs::read(&path).unwrap(), want);
            damaged.undo().unwrap();
        }
        let damaged = Damaged::new(Verb::Remove, &path).unwrap().unwrap();
        assert!(matching(&dir, "core-*").is_err());
        damaged.undo().unwrap();
        assert_eq!(matching(&dir, "core-*").unwrap(), [path]);
        fs::remove_dir_all(&run).unwrap();
    }
}
