//! The engine's messages: levels, form of a line, and where the lines go.
//!
//! A line is one `write`, so that lines of several threads do not mix. An event or span with a field `pid` concerns that
//! task; with `--log-pid` its lines go to a file of the task's own.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::options::{LogOptions, Verbosity};

/// Where the messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// To the engine's standard error.
    Stderr,
    /// To the file of `--log-file`.
    File,
}

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The log file could not be made.
    #[error("failed to create the log file {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The process has a logger already.
    #[error("messages of this process go elsewhere already")]
    Taken,
}

/// Sends all messages of this process, from now on, where `options` say. An old log file is emptied.
pub fn init(options: &LogOptions, work_dir: &Path) -> Result<Destination, LogError> {
    let (sink, destination) = match &options.file {
        Some(file) => {
            let path = work_dir.join(file);
            let main = create(&path).map_err(|source| LogError::Create { path: path.clone(), source })?;
            let tasks = options.per_task.then(HashMap::new);
            (Sink::File { main, path, tasks }, Destination::File)
        }
        None => (Sink::Stderr, Destination::Stderr),
    };
    let logger = Logger { start: Instant::now(), verbosity: options.verbosity, sink: Mutex::new(sink) };
    tracing::subscriber::set_global_default(Registry::default().with(logger)).map_err(|_| LogError::Taken)?;
    Ok(destination)
}

/// Names and contents of a frozen tree's memory and files may show in a log, so nobody else reads it.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

enum Sink {
    Stderr,
    File { main: File, path: PathBuf, tasks: Option<HashMap<u64, File>> },
}

impl Sink {
    fn write(&mut self, task: Option<u64>, line: &str) -> io::Result<()> {
        match self {
            Sink::Stderr => io::stderr().write_all(line.as_bytes()),
            Sink::File { path, tasks: Some(tasks), .. } if task.is_some() => {
                let file = match tasks.entry(task.unwrap_or_default()) {
                    Entry::Occupied(open) => open.into_mut(),
                    Entry::Vacant(absent) => {
                        let mut name = path.clone().into_os_string();
                        name.push(format!(".{}", absent.key()));
                        absent.insert(create(Path::new(&name))?)
                    }
                };
                file.write_all(line.as_bytes())
            }
            Sink::File { main, .. } => main.write_all(line.as_bytes()),
        }
    }
}

/// The layer that writes each event as a line.
struct Logger {
    start: Instant,
    verbosity: Verbosity,
    sink: Mutex<Sink>,
}

/// The task that a span is about, kept with the span.
struct AboutTask(u64);

impl Logger {
    fn max_level(&self) -> LevelFilter {
        match self.verbosity.level() {
            0 => LevelFilter::OFF,
            1 => LevelFilter::ERROR,
            2 => LevelFilter::WARN,
            3 => LevelFilter::INFO,
            4 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        }
    }

    fn line(&self, metadata: &Metadata<'_>, fields: &Fields) -> String {
        let mut line = String::new();
        if self.verbosity.level() >= 3 {
            let since = self.start.elapsed();
            // Writing to a string cannot fail.
            let _ = write!(line, "({:02}.{:06}) ", since.as_secs(), since.subsec_micros());
        }
        let module = fields.module.as_deref().unwrap_or(metadata.target().trim_start_matches("stasis::"));
        let _ = match *metadata.level() {
            Level::ERROR => write!(line, "Error ({module}): "),
            Level::WARN => write!(line, "Warn  ({module}): "),
            _ => write!(line, "{module}: "),
        };
        line.push_str(&fields.message);
        line.push_str(&fields.others);
        line.push('\n');
        line
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Logger {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= self.max_level()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.max_level())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let (Some(task), Some(span)) = (fields.task, context.span(id)) {
            span.extensions_mut().insert(AboutTask(task));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let task = fields.task.or_else(|| {
            let mut scope = context.event_scope(event)?;
            scope.find_map(|span| span.extensions().get::<AboutTask>().map(|about| about.0))
        });
        let line = self.line(event.metadata(), &fields);
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk must not fail the dump because of a message about it.
        let _ = sink.write(task, &line);
    }
}

/// An event's message, its other fields as ` name=value`, its task, and the module that speaks if that is not the one
/// where the event is.
#[derive(Default)]
struct Fields {
    message: String,
    module: Option<String>,
    others: String,
    task: Option<u64>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value}"),
            name => write!(self.others, " {name}={value}"),
        };
    }
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "pid" {
            self.task = Some(value);
        }
        self.add(field, format_args!("{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        if field.name() == "pid" {
            self.task = u64::try_from(value).ok();
        }
        self.add(field, format_args!("{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "module" {
            self.module = Some(value.to_owned());
            return;
        }
        self.add(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // A pid that was recorded by `%` or `?` is text here.
        if field.name() == "pid" {
            let digits: String = format!("{value:?}").chars().filter(char::is_ascii_digit).collect();
            self.task = digits.parse().ok();
        }
        self.add(field, format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines that `say` logs at `level`, in the main file and in that of task 42.
    fn logged(level: u8, per_task: bool, say: impl FnOnce()) -> (String, String) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.log");
        let sink =
            Sink::File { main: create(&path).expect("a file"), path: path.clone(), tasks: per_task.then(HashMap::new) };
        let logger = Logger { start: Instant::now(), verbosity: Verbosity::new(level), sink: Mutex::new(sink) };
        tracing::subscriber::with_default(Registry::default().with(logger), say);
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
        (read("a.log"), read("a.log.42"))
    }

    fn all_levels() {
        tracing::error!(target: "stasis::dump::freeze", fd = 3, name = "x", "failed to look");
        tracing::warn!(target: "stasis::dump", "strange");
        tracing::info!(target: "stasis::dump", "fine");
        tracing::debug!(target: "stasis::dump", "detail");
    }

    #[test]
    fn levels_and_words() {
        assert_eq!(logged(0, false, all_levels).0, "");
        assert_eq!(logged(1, false, all_levels).0, "Error (dump::freeze): failed to look fd=3 name=x\n");
        assert_eq!(logged(2, false, all_levels).0.lines().count(), 2);
        assert!(logged(2, false, all_levels).0.ends_with("Warn  (dump): strange\n"));
        assert_eq!(logged(3, false, all_levels).0.lines().count(), 3);
        assert_eq!(logged(4, false, all_levels).0.lines().count(), 4);
    }

    #[test]
    fn seconds_since_start_from_level_three() {
        for line in logged(3, false, all_levels).0.lines() {
            let stamp: Vec<char> = line.chars().take(12).collect();
            let shape: String = stamp.iter().map(|c| if c.is_ascii_digit() { '0' } else { *c }).collect();
            assert_eq!(shape, "(00.000000) ", "{line}");
        }
    }

    #[test]
    fn lines_about_a_task_go_to_its_own_file() {
        let say = || {
            let _span = tracing::info_span!("task", pid = 42).entered();
            tracing::info!("inside");
            tracing::info!(pid = 7, "another");
        };
        let (main, own) = logged(3, true, say);
        assert_eq!(main, "");
        assert!(own.contains("inside") && !own.contains("another"));
        let (main, own) = logged(3, false, say);
        assert_eq!((main.lines().count(), own.as_str()), (2, ""));
        let (main, own) = logged(3, true, || tracing::info!(pid = %nix::unistd::Pid::from_raw(42), "by text"));
        assert!(main.is_empty() && own.contains("by text"));
    }

    #[test]
    fn an_event_may_name_its_module() {
        let say = || tracing::error!(module = "check", "gone");
        assert_eq!(logged(2, false, say).0, "Error (check): gone\n");
    }

    #[test]
    fn an_impossible_log_file_is_an_error_that_names_it() {
        let options = LogOptions { file: Some("a.log".into()), ..LogOptions::default() };
        let error = init(&options, Path::new("/nonexistent")).expect_err("no such directory");
        assert!(error.to_string().contains("/nonexistent/a.log"));
    }
}
