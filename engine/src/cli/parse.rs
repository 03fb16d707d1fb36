//! From arguments and configuration files to one set of matches, by clap and the table.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::LazyLock;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::table::{OPTIONS, Opt, State, Takes, VERBS, VerbSpec};
use super::{CliError, argv, config};
use crate::options::OptionError;

/// What the user asked for: command line and configuration files together.
pub struct Parsed {
    matches: ArgMatches,
    typed: BTreeSet<&'static str>,
    notes: Vec<String>,
    /// The first word.
    pub verb: Option<&'static VerbSpec>,
    /// The words after the first.
    pub words: Vec<OsString>,
    /// What follows `--`.
    pub trailing: Vec<OsString>,
}

/// Reads `arguments` (without the program's name) and the configuration files that they and the environment name.
pub fn parse(program: &str, arguments: &[OsString]) -> Result<Parsed, CliError> {
    let arguments = argv::normalise(arguments);
    let line = matches(program, &arguments)?;
    let typed: BTreeSet<_> = OPTIONS.iter().map(|o| o.long).filter(|long| given(&line, long)).collect();
    let (home, environment) = (std::env::var_os("HOME"), std::env::var_os("CRIU_CONFIG_FILE"));
    let configured = config::read_all(&config::Sources {
        skip_defaults: line.get_flag("no-default-config"),
        home: home.as_deref(),
        named: line.get_one::<OsString>("config").map(Path::new),
        environment: environment.as_deref(),
    })?;
    let matches = if configured.arguments.is_empty() {
        line
    } else {
        let both: Vec<_> = configured.arguments.into_iter().chain(arguments).collect();
        matches(program, &both)?
    };
    let mut words = matches.get_many::<OsString>("words").into_iter().flatten().cloned();
    let verb = words.next().map(|word| find_verb(&word)).transpose()?;
    let words = words.collect();
    let trailing = matches.get_many::<OsString>("trailing").into_iter().flatten().cloned().collect();
    Ok(Parsed { matches, typed, notes: configured.notes, verb, words, trailing })
}

impl Parsed {
    /// Whether the true/false option is on.
    pub fn flag(&self, long: &str) -> bool {
        self.matches.get_flag(long)
    }

    /// The option's value as it was given.
    pub fn raw(&self, long: &str) -> Option<&OsStr> {
        self.matches.get_many::<OsString>(long).into_iter().flatten().last().map(OsString::as_os_str)
    }

    /// The option's value as a path.
    pub fn path(&self, long: &str) -> Option<PathBuf> {
        self.raw(long).map(PathBuf::from)
    }

    /// The option's value as text.
    pub fn text(&self, long: &'static str) -> Result<Option<&str>, CliError> {
        self.raw(long).map(|raw| text(long, raw)).transpose()
    }

    /// The option's value, read by its type.
    pub fn value<T: FromStr<Err = OptionError>>(&self, long: &'static str) -> Result<Option<T>, CliError> {
        self.text(long)?.map(|t| t.parse().map_err(CliError::from)).transpose()
    }

    /// All values of an option that adds up, read by their type.
    pub fn values<T: FromStr<Err = OptionError>>(&self, long: &'static str) -> Result<Vec<T>, CliError> {
        let raw = self.matches.get_many::<OsString>(long).into_iter().flatten();
        raw.map(|raw| text(long, raw)?.parse().map_err(CliError::from)).collect()
    }

    /// All values of an option that adds up, as they were given.
    pub fn raw_values(&self, long: &str) -> Vec<OsString> {
        self.matches.get_many::<OsString>(long).into_iter().flatten().cloned().collect()
    }

    /// The verbosity asked for: a number is the level, each bare `-v` counts one.
    pub fn verbosity(&self) -> Result<Option<u8>, CliError> {
        let mut level: Option<u8> = None;
        for raw in self.raw_values("verbosity") {
            level = Some(match text("verbosity", &raw)? {
                "" => level.unwrap_or(0).saturating_add(1),
                number if number.bytes().all(|b| b.is_ascii_digit()) => number.parse().unwrap_or(u8::MAX),
                other => {
                    return Err(CliError::usage(format!("`{other}` is no verbosity: expected a number from 0 to 4")));
                }
            });
        }
        Ok(level)
    }

    /// Refuses each option that is not built yet, and returns what is to be said about the others that do nothing.
    pub fn refuse_unbuilt(&self) -> Result<Vec<String>, CliError> {
        let mut notes = self.notes.clone();
        for option in OPTIONS.iter().filter(|o| self.used(o)) {
            let origin = if self.typed.contains(option.long) { "" } else { " (from a configuration file)" };
            match option.state {
                // A file of defaults speaks to all commands, so there only what means something is refused.
                State::KnownNotBuilt if origin.is_empty() || self.means_something(option) => {
                    return Err(CliError::not_built(&format!("--{}{origin}", option.long)));
                }
                State::KnownNotBuilt => {}
                State::Note(why) => notes.push(format!("--{}{origin} has no effect: {why}", option.long)),
                State::Built => {
                    let Some(verb) = self.verb else { continue };
                    if !option.applies_to(verb.verb) {
                        notes.push(format!("--{}{origin} means nothing to `{}`", option.long, verb.name));
                    }
                }
            }
        }
        Ok(notes)
    }

    fn means_something(&self, option: &Opt) -> bool {
        self.verb.is_none_or(|verb| option.applies_to(verb.verb))
    }

    fn used(&self, option: &Opt) -> bool {
        match option.takes {
            Takes::Nothing => self.flag(option.long),
            _ => given(&self.matches, option.long),
        }
    }
}

fn given(matches: &ArgMatches, long: &str) -> bool {
    matches.value_source(long) == Some(ValueSource::CommandLine)
}

fn text<'a>(long: &str, raw: &'a OsStr) -> Result<&'a str, CliError> {
    raw.to_str().ok_or_else(|| CliError::usage(format!("the value of --{long} is not UTF-8")))
}

fn find_verb(word: &OsStr) -> Result<&'static VerbSpec, CliError> {
    VERBS.iter().find(|v| word == v.name).ok_or_else(|| {
        let names: Vec<_> = VERBS.iter().map(|v| v.name).collect();
        CliError::usage(format!("`{}` is no command; commands are {}", word.to_string_lossy(), names.join(", ")))
    })
}

fn matches(program: &str, arguments: &[OsString]) -> Result<ArgMatches, CliError> {
    let program = std::iter::once(OsString::from(program));
    command().try_get_matches_from(program.chain(arguments.iter().cloned())).map_err(|e| {
        let rendered = e.render().to_string();
        let text = rendered.strip_prefix("error: ").unwrap_or(&rendered);
        // Clap's usage line would list a hundred options.
        CliError::usage(text.split("\n\nUsage:").next().unwrap_or(text).trim_end())
    })
}

/// The whole command line as clap sees it: options of the table, words, and what follows `--`.
fn command() -> Command {
    let words = Arg::new("words").value_parser(value_parser!(OsString)).num_args(0..).action(ArgAction::Append);
    let trailing = Arg::new("trailing").value_parser(value_parser!(OsString)).num_args(0..).last(true);
    Command::new("stasis")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .args_override_self(true)
        .infer_long_args(true)
        .args(OPTIONS.iter().map(argument))
        .args(NEGATIONS.iter().map(|(name, option)| negation(name, option)))
        .arg(words)
        .arg(trailing)
}

fn argument(option: &'static Opt) -> Arg {
    let arg = Arg::new(option.long).long(option.long).help(option.help);
    let arg = match option.short {
        Some(short) => arg.short(short),
        None => arg,
    };
    let action = if option.repeats { ArgAction::Append } else { ArgAction::Set };
    match option.takes {
        Takes::Nothing => match option.long {
            // Of two fates of the tree the one named last counts.
            "leave-stopped" => arg.action(ArgAction::SetTrue).overrides_with("leave-running"),
            _ => arg.action(ArgAction::SetTrue),
        },
        Takes::Value(name) => {
            arg.action(action).value_name(name).value_parser(value_parser!(OsString)).allow_hyphen_values(true)
        }
        Takes::Perhaps(name, default) => {
            let action = if option.long == "verbosity" { ArgAction::Append } else { action };
            let arg = arg.action(action).value_name(name).value_parser(value_parser!(OsString));
            arg.num_args(0..=1).require_equals(true).default_missing_value(default)
        }
    }
}

/// The names of the opposites, which clap wants to live for ever, each with the option that it takes back.
static NEGATIONS: LazyLock<Vec<(String, &'static Opt)>> = LazyLock::new(|| {
    OPTIONS.iter().filter(|o| o.has_negation()).map(|option| (format!("no-{}", option.long), option)).collect()
});

fn negation(name: &'static str, option: &'static Opt) -> Arg {
    Arg::new(name).long(name).hide(true).action(ArgAction::SetTrue).overrides_with(option.long)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Parsed, CliError> {
        let mut arguments: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        arguments.insert(0, "--no-default-config".into());
        parse("stasis", &arguments)
    }

    fn level(line: &str) -> Option<u8> {
        parsed(line).expect(line).verbosity().expect(line)
    }

    #[test]
    fn clap_accepts_the_table() {
        command().debug_assert();
    }

    #[test]
    fn verbosity_in_all_its_forms() {
        assert_eq!(level("dump"), None);
        for line in ["-v4 dump", "dump -vvvv", "dump -v -v -v -v", "--verbosity=4 dump", "dump -Rv4", "dump -vjvvv"] {
            assert_eq!(level(line), Some(4), "{line}");
        }
        assert_eq!(level("-v0 dump"), Some(0));
        assert_eq!(level("dump -o -v4"), None);
        assert_eq!(level("dump --log-file -v4"), None);
        assert_eq!(level("restore --exec-cmd -- sh -v4"), None);
        assert!(parsed("dump --verbosity=x").expect("a line").verbosity().is_err());
    }

    #[test]
    fn options_before_and_after_the_command() {
        for line in
            ["-t 7 dump -D /i", "dump -t7 --images-dir=/i", "--tree=7 --images-dir /i dump", "-D/i dump --tree 7"]
        {
            let parsed = parsed(line).expect(line);
            assert_eq!(parsed.verb.map(|v| v.name), Some("dump"), "{line}");
            assert_eq!(parsed.text("tree").ok().flatten(), Some("7"), "{line}");
            assert_eq!(parsed.path("images-dir"), Some("/i".into()), "{line}");
        }
    }

    #[test]
    fn the_last_of_contradicting_flags_counts() {
        assert!(!parsed("dump -l --no-file-locks").expect("a line").flag("file-locks"));
        assert!(parsed("dump --no-file-locks -l -l").expect("a line").flag("file-locks"));
        let both = parsed("dump -R -s").expect("a line");
        assert!(both.flag("leave-stopped") && !both.flag("leave-running"));
        let both = parsed("dump -s -R").expect("a line");
        assert!(!both.flag("leave-stopped") && both.flag("leave-running"));
    }

    #[test]
    fn repeated_values() {
        let parsed = parsed("--external file[1:2] dump --external=file[3:4] -t 1 -t 2").expect("a line");
        assert_eq!(parsed.raw_values("external").len(), 2);
        assert_eq!(parsed.text("tree").ok().flatten(), Some("2"));
    }

    #[test]
    fn what_follows_two_dashes_is_left_alone() {
        let parsed = parsed("restore --exec-cmd -- sh -c --tree").expect("a line");
        assert_eq!(parsed.trailing, ["sh", "-c", "--tree"]);
        assert!(parsed.flag("exec-cmd"));
    }

    #[test]
    fn wrong_usage() {
        for line in ["dump --nonsense", "frobnicate", "dump -t", "dump --file-locks=yes", "dump -X"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }

    #[test]
    fn unbuilt_options_are_refused_and_noted_ones_noted() {
        for line in ["dump --track-mem", "restore --lsm-profile a:b", "dump --page-server", "restore -J net:3"] {
            assert!(parsed(line).expect(line).refuse_unbuilt().is_err(), "{line}");
        }
        assert!(parsed("dump --no-track-mem").expect("a line").refuse_unbuilt().is_ok_and(|n| n.is_empty()));
        let notes = parsed("dump --tcp-close --root /r").expect("a line").refuse_unbuilt().expect("notes");
        assert_eq!(notes.len(), 2, "{notes:?}");
    }
}
