//! What the user sees of a run: a line or progress for each result, failures, a table, and the report files.

use crate::cell::Failure;
use crate::cli::Flavour;
use crate::route::Route;
use anyhow::Context as _;
use comfy_table::{ContentArrangement, Table, presets};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a run ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "status")]
pub enum Status {
    /// As it should.
    Pass,
    /// Not as it should.
    Fail {
        /// What went wrong.
        #[serde(flatten)]
        failure: Failure,
        /// Where logs (and with --keep images and scratch files) were left.
        kept: Option<PathBuf>,
    },
    /// Not run: what the machine lacks.
    Skip {
        /// In words.
        reason: String,
    },
}

/// One case by one route.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CaseResult {
    /// `area/case`.
    pub case: String,
    /// In what surroundings.
    pub flavour: Flavour,
    /// By which route.
    pub route: Route,
    /// Which of the repetitions, from 1.
    pub repeat: usize,
    /// Wall time.
    pub seconds: f64,
    /// What was done and how long it took, in seconds.
    pub phases: Vec<(String, f64)>,
    /// How it ended.
    #[serde(flatten)]
    pub status: Status,
}

impl CaseResult {
    /// The route in words, with the flavour where it is not the usual one.
    fn way(&self) -> String {
        let route = self.route.name();
        if self.flavour == Flavour::Host { route.to_owned() } else { format!("{} {route}", self.flavour.name()) }
    }
}

/// All results of a run.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The engine's path.
    pub engine: PathBuf,
    /// What the random instants derive from.
    pub seed: u64,
    /// How many passed, failed and were skipped.
    pub passed: usize,
    /// See `passed`.
    pub failed: usize,
    /// See `passed`.
    pub skipped: usize,
    /// Wall time.
    pub seconds: f64,
    /// In the order in which they ended.
    pub results: Vec<CaseResult>,
}

impl Summary {
    /// Counts the results.
    pub fn new(engine: PathBuf, seed: u64, results: Vec<CaseResult>, time: Duration) -> Summary {
        let count = |wanted: fn(&Status) -> bool| results.iter().filter(|r| wanted(&r.status)).count();
        Summary {
            engine,
            seed,
            passed: count(|s| matches!(s, Status::Pass)),
            failed: count(|s| matches!(s, Status::Fail { .. })),
            skipped: count(|s| matches!(s, Status::Skip { .. })),
            seconds: time.as_secs_f64(),
            results,
        }
    }

    /// Writes the report files that are asked for.
    pub fn write(&self, json: Option<&Path>, junit: Option<&Path>) -> anyhow::Result<()> {
        json.map_or(Ok(()), |path| write_json(path, self))?;
        junit.map_or(Ok(()), |path| write_junit(path, self))
    }
}

/// Where progress and results are shown while a run goes on.
pub struct Screen {
    terminal: bool,
    colours: bool,
    total: usize,
    done: usize,
    failed: usize,
}

impl Screen {
    /// A screen for so many results.
    pub fn new(total: usize) -> Screen {
        let terminal = std::io::stdout().is_terminal();
        let colours = terminal && std::env::var_os("NO_COLOR").is_none();
        Screen { terminal, colours, total, done: 0, failed: 0 }
    }

    /// Shows a result: failures in full, the rest as a line, or on a terminal as progress.
    pub fn show(&mut self, result: &CaseResult) {
        self.done += 1;
        let name = format!("{} {}", result.case, result.way());
        let mut text = String::new();
        if self.terminal {
            text.push_str("\r\x1b[K");
        }
        match &result.status {
            Status::Pass if self.terminal => {}
            Status::Pass => _ = writeln!(text, "{} {name} {:.2} s", self.paint("pass", 32), result.seconds),
            Status::Skip { reason } => _ = writeln!(text, "{} {name}: {reason}", self.paint("skip", 33)),
            Status::Fail { failure, kept } => {
                self.failed += 1;
                let times = if result.repeat > 1 { format!(" (repetition {})", result.repeat) } else { String::new() };
                _ = writeln!(text, "{} {name}{times}: {}", self.paint("FAIL", 31), failure.what);
                for line in &failure.details {
                    _ = writeln!(text, "     {line}");
                }
                if let Some(kept) = kept {
                    _ = writeln!(text, "     logs: {}", kept.display());
                }
            }
        }
        if self.terminal {
            _ = write!(text, "[{}/{}] {} failed; last: {name}", self.done, self.total, self.failed);
        }
        self.put(&text);
    }

    /// Prints the table of failures and the last line, on which scripts rely.
    pub fn close(&self, summary: &Summary) {
        let mut text = String::new();
        if self.terminal {
            text.push_str("\r\x1b[K");
        }
        if summary.failed > 0 {
            _ = writeln!(text, "\n{}", failures(summary));
        }
        let Summary { passed, failed, skipped, .. } = summary;
        _ = writeln!(text, "{passed} passed, {failed} failed, {skipped} skipped");
        self.put(&text);
    }

    fn paint(&self, word: &str, colour: u8) -> String {
        if self.colours { format!("\x1b[{colour}m{word}\x1b[0m") } else { word.to_owned() }
    }

    /// A reader that went away (`| head`) does not end the run, which has to clean up.
    fn put(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

fn failures(summary: &Summary) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    // A terminal that does not say how wide it is says 0.
    if table.width().is_some_and(|width| width > 60) {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table.set_header(["case", "route", "what"]);
    for result in &summary.results {
        if let Status::Fail { failure, .. } = &result.status {
            table.add_row([result.case.as_str(), &result.way(), failure.what.as_str()]);
        }
    }
    table
}

/// Writes the results as JSON.
fn write_json(path: &Path, summary: &Summary) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(summary)?;
    fs::write(path, text + "\n").with_context(|| format!("failed to write {}", path.display()))
}

/// Writes the results as JUnit XML: a suite of the area's name, a case for each route.
fn write_junit(path: &Path, summary: &Summary) -> anyhow::Result<()> {
    fs::write(path, junit(summary)?).with_context(|| format!("failed to write {}", path.display()))
}

fn junit(summary: &Summary) -> Result<String, std::fmt::Error> {
    let Summary { failed, skipped, seconds, results, .. } = summary;
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let tests = results.len();
    writeln!(
        xml,
        "<testsuites>\n<testsuite name=\"zdtm\" tests=\"{tests}\" failures=\"{failed}\" skipped=\"{skipped}\" time=\"{seconds:.3}\">"
    )?;
    for result in results {
        let class = escape(&result.case.replace('/', "."));
        let name = format!("{}-{}-{}", result.route.name(), result.flavour.name(), result.repeat);
        write!(xml, "<testcase classname=\"{class}\" name=\"{name}\" time=\"{:.3}\"", result.seconds)?;
        match &result.status {
            Status::Pass => writeln!(xml, "/>")?,
            Status::Skip { reason } => writeln!(xml, "><skipped message=\"{}\"/></testcase>", escape(reason))?,
            Status::Fail { failure, .. } => writeln!(
                xml,
                "><failure message=\"{}\">{}</failure></testcase>",
                escape(&failure.what),
                escape(&failure.details.join("\n"))
            )?,
        }
    }
    writeln!(xml, "</testsuite>\n</testsuites>")?;
    Ok(xml)
}

/// Text for XML 1.0 and HTML: markup escaped, characters that XML forbids replaced.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(status: Status) -> CaseResult {
        let (flavour, route) = (Flavour::Host, Route::LeaveRunning);
        CaseResult { case: "a/b".to_owned(), flavour, route, repeat: 1, seconds: 0.5, phases: Vec::new(), status }
    }

    fn summary() -> Summary {
        let failure = Failure::with("fd 5: flags 02 → \"<x>\" & more", vec!["engine: \u{1b}[0m Error".to_owned()]);
        let results = vec![
            result(Status::Pass),
            result(Status::Fail { failure, kept: Some("/x".into()) }),
            result(Status::Skip { reason: "no CAP_SYS_NICE".to_owned() }),
        ];
        Summary { engine: "/e".into(), seed: 7, passed: 1, failed: 1, skipped: 1, seconds: 1.5, results }
    }

    #[test]
    fn junit_escapes_and_counts() {
        let xml = junit(&summary()).unwrap();
        assert!(xml.contains("tests=\"3\" failures=\"1\" skipped=\"1\" time=\"1.500\""), "{xml}");
        assert!(xml.contains("message=\"fd 5: flags 02 → &quot;&lt;x&gt;&quot; &amp; more\""), "{xml}");
        assert!(xml.contains("engine: \u{fffd}[0m Error"), "{xml}");
        assert!(xml.contains("<testcase classname=\"a.b\" name=\"leave-running-host-1\" time=\"0.500\"/>"), "{xml}");
    }

    #[test]
    fn json_has_the_status_beside_the_case() {
        let json = serde_json::to_value(summary()).unwrap();
        assert_eq!(json["results"][0]["status"], "pass");
        assert_eq!(json["results"][1]["what"], "fd 5: flags 02 → \"<x>\" & more");
        assert_eq!(json["results"][2]["reason"], "no CAP_SYS_NICE");
        assert_eq!(json["results"][2]["route"], "leave-running");
    }
}
