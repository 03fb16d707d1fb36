//! What one machine did, with the logs of its failures: a file that can be carried elsewhere and made a page of.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of a log that are kept: its end says what happened.
const MOST_OF_A_LOG: usize = 16 << 10;
/// Logs that are kept of a failure.
const MOST_LOGS: usize = 24;

/// What one machine did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The machine's name.
    pub machine: String,
    /// The plan.
    pub plan: String,
    /// Wall time, with fetching, building and booting.
    pub seconds: f64,
    /// Where it did not come to its end: why, and the last lines that it printed.
    pub broken: Option<String>,
    /// Every case by every route.
    pub results: Vec<Entry>,
}

/// How a result counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Pass,
    /// The machine lacks something.
    Skip,
    /// Not as it should be.
    Fail,
}

/// One case by one route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// `area/case`.
    pub case: String,
    /// Its surroundings.
    pub flavour: String,
    /// Its route.
    pub route: String,
    /// How it ended.
    pub status: Status,
    /// Wall time.
    pub seconds: f64,
    /// What was done, and how long it took.
    #[serde(default)]
    pub phases: Vec<(String, f64)>,
    /// What went wrong.
    #[serde(default)]
    pub what: String,
    /// Why it was skipped.
    #[serde(default)]
    pub reason: String,
    /// What differed, what the engine said.
    #[serde(default)]
    pub details: Vec<String>,
    /// Names and ends of the logs.
    #[serde(default)]
    pub logs: Vec<(String, String)>,
    /// Where the logs were left.
    #[serde(default, skip_serializing)]
    kept: Option<PathBuf>,
}

/// The part of a run's report (`--json`) that a record is made of.
#[derive(Deserialize)]
struct Summary {
    results: Vec<Entry>,
}

/// The results in a run's report, with the logs of its failures.
///
/// # Errors
/// It cannot be read or is no report.
pub fn results(path: &Path) -> anyhow::Result<Vec<Entry>> {
    let text = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    let summary: Summary = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
    let with_logs = |mut entry: Entry| {
        if let Some(kept) = entry.kept.take() {
            logs(&kept, &kept, &mut entry.logs);
        }
        entry
    };
    Ok(summary.results.into_iter().map(with_logs).collect())
}

/// Adds the logs below a directory, by name.
fn logs(top: &Path, dir: &Path, found: &mut Vec<(String, String)>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() && !path.is_symlink() {
            logs(top, &path, found);
        } else if path.extension().is_some_and(|e| e == "log" || e == "out") && found.len() < MOST_LOGS {
            let Ok(bytes) = fs::read(&path) else { continue };
            let end = &bytes[bytes.len().saturating_sub(MOST_OF_A_LOG)..];
            let name = path.strip_prefix(top).unwrap_or(&path).display().to_string();
            if !end.is_empty() {
                found.push((name, String::from_utf8_lossy(end).into_owned()));
            }
        }
    }
}

impl Record {
    /// Writes it to `DIR/MACHINE.json`.
    ///
    /// # Errors
    /// The directory or the file cannot be written.
    pub fn write(&self, dir: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(dir).with_context(|| format!("failed to make {}", dir.display()))?;
        let path = dir.join(format!("{}.json", self.machine));
        fs::write(&path, serde_json::to_vec(self)?).with_context(|| format!("failed to write {}", path.display()))
    }

    /// All records in a directory, by name.
    ///
    /// # Errors
    /// It cannot be read, holds none, or one that is damaged.
    pub fn all(dir: &Path) -> anyhow::Result<Vec<Record>> {
        let entries = fs::read_dir(dir).with_context(|| format!("failed to read {}", dir.display()))?;
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|e| e == "json"));
        paths.sort();
        anyhow::ensure!(!paths.is_empty(), "there are no records in {}", dir.display());
        let read = |path: &PathBuf| {
            let text = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
            serde_json::from_slice(&text).with_context(|| format!("{} is no record", path.display()))
        };
        paths.iter().map(read).collect()
    }

    /// How many passed, failed and were skipped.
    pub fn counts(&self) -> [usize; 3] {
        [Status::Pass, Status::Fail, Status::Skip].map(|s| self.results.iter().filter(|r| r.status == s).count())
    }

    /// Whether it came to its end and nothing failed.
    pub fn is_good(&self) -> bool {
        self.broken.is_none() && self.results.iter().all(|r| r.status != Status::Fail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_becomes_a_record_with_its_logs_and_survives_a_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let kept = dir.path().join("kept");
        fs::create_dir_all(kept.join("img-1")).expect("made");
        fs::write(kept.join("img-1/dump.log"), "x".repeat(MOST_OF_A_LOG) + "the end").expect("written");
        fs::write(kept.join("cell.out"), "").expect("written");
        fs::write(kept.join("outcome.json"), "{}").expect("written");
        let report = dir.path().join("report.json");
        let json = serde_json::json!({"passed": 1, "results": [
            {"case": "a/b", "flavour": "host", "route": "once", "status": "pass", "seconds": 0.5,
             "phases": [["dump", 0.1]]},
            {"case": "a/b", "flavour": "host", "route": "thrice", "status": "fail", "seconds": 1.0, "phases": [],
             "what": "fd 5", "details": ["flags"], "kept": kept},
            {"case": "a/c", "flavour": "host", "route": "once", "status": "skip", "reason": "no AVX", "seconds": 0.0,
             "phases": []},
        ]});
        fs::write(&report, json.to_string()).expect("written");
        let results = results(&report).expect("results");
        assert_eq!(results[1].logs.len(), 1);
        assert!(results[1].logs[0].0 == "img-1/dump.log" && results[1].logs[0].1.ends_with("the end"));
        let record = Record { machine: "m".into(), plan: "push".into(), seconds: 2.0, broken: None, results };
        assert_eq!((record.counts(), record.is_good()), ([1, 1, 1], false));
        record.write(&dir.path().join("records")).expect("written");
        assert_eq!(Record::all(&dir.path().join("records")).expect("records"), [record]);
    }
}
