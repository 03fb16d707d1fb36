//! The command line: from arguments to options, from results to messages and an exit status. Holds no logic of its own.

mod argv;
mod commands;
mod config;
mod connect;
mod convert;
mod guard;
mod help;
mod parse;
mod progress;
mod table;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::log;
use crate::options::OptionError;
use parse::Parsed;

/// Why a command ended with exit status 1.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct CliError {
    /// The part of the engine that speaks.
    module: &'static str,
    /// What went wrong, with its causes.
    text: String,
    /// What the user can do about it.
    help: Option<String>,
}

impl CliError {
    /// The command line itself is at fault.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        CliError { module: "cli", text: text.into(), help: None }
    }

    /// `what` is known but its objects are not there yet.
    pub(crate) fn not_built(what: &str) -> Self {
        CliError::from(OptionError::NotBuilt(what.to_owned()))
    }

    /// An error of `module` with its chain of causes.
    pub(crate) fn of(module: &'static str, error: &dyn std::error::Error) -> Self {
        let causes = std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string);
        CliError { module, text: causes.collect::<Vec<_>>().join(": "), help: None }
    }

    /// An error of `module` in our own words.
    pub(crate) fn of_text(module: &'static str, text: String) -> Self {
        CliError { module, text, help: None }
    }

    /// The same with what the user can do.
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl From<OptionError> for CliError {
    fn from(error: OptionError) -> Self {
        CliError::of("cli", &error)
    }
}

/// Runs the command that `arguments` (the program's name first) ask for, and returns the exit status: 0 is success, 1
/// failure, 128 and more the signal that cancelled the command; a restore that waits passes on the status of the tree's root.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let mut arguments = arguments.into_iter();
    let program = program_name(arguments.next().as_deref());
    let arguments: Vec<_> = arguments.collect();
    let mut destination = log::Destination::Stderr;
    raise_descriptor_limit();
    match run(program, &arguments, &mut destination) {
        Ok(status) => status,
        Err(error) => {
            report(&error, destination);
            guard::failure_status()
        }
    }
}

/// A tree's open files are all ours for a while, and most systems start with a limit of 1024. Restored tasks get their
/// own limits.
fn raise_descriptor_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // Where it is refused, the call that lacks a descriptor says so.
        let _raised = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// `criu` where we are called through a link of that name, else `stasis`.
fn program_name(first: Option<&OsStr>) -> &'static str {
    match first.and_then(|name| Path::new(name).file_name()) {
        Some(name) if name == "criu" => "criu",
        _ => "stasis",
    }
}

fn run(program: &'static str, arguments: &[OsString], destination: &mut log::Destination) -> Result<u8, CliError> {
    let parsed = parse::parse(program, arguments)?;
    if parsed.flag("version") {
        return say(&help::version());
    }
    if parsed.flag("help") {
        return say(&help::text(program, parsed.verb));
    }
    let Some(verb) = parsed.verb else {
        return Err(CliError::usage("no command given").with_help(format!("try `{program} --help`")));
    };
    if !verb.built {
        return Err(CliError::not_built(verb.name));
    }
    let mut notes = parsed.refuse_unbuilt()?;
    if verb.verb != table::Verb::Restore && !parsed.trailing.is_empty() {
        return Err(CliError::usage(format!("`{}` takes nothing after `--`", verb.name)));
    }
    let common = convert::common(&parsed)?;
    convert::close_descriptors(&common)?;
    if common.log.per_task && common.log.file.is_none() {
        notes.push("--log-pid has no effect: there is no --log-file".to_owned());
    }
    *destination = log::init(&common.log, common.work_dir()).map_err(|e| CliError::of("log", &e))?;
    for note in notes {
        tracing::info!(target: "cli", "{note}");
    }
    convert::arm_fault(&parsed)?;
    commands::run(verb.verb, &parsed, common)
}

/// Prints to standard output; a closed pipe is no error.
fn say(text: &str) -> Result<u8, CliError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::of("cli", &e).with_help("standard output could not be written"))
        }
        _ => Ok(0),
    }
}

/// The last word: into the log, and on standard error, where a user looks first.
fn report(error: &CliError, destination: log::Destination) {
    let help = error.help.as_deref().map(|h| format!("\n  help: {h}")).unwrap_or_default();
    let line = format!("Error ({}): {}{help}\n", error.module, error.text);
    if destination == log::Destination::File {
        tracing::error!(module = error.module, "{}{help}", error.text);
    }
    // Nothing is left to be done when even standard error is gone.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// What a command needs of the parsed line beside the options.
fn no_words(parsed: &Parsed) -> Result<(), CliError> {
    match parsed.words.first() {
        Some(word) => Err(CliError::usage(format!("unexpected `{}`", word.to_string_lossy()))),
        None => Ok(()),
    }
}
