//! Configuration files: defaults for the command line, one long option without dashes a line.
//!
//! They are read in the order /etc, home, `--config`, environment; what comes later overrides, and the command line
//! overrides them all.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::CliError;
use super::table::{self, Opt, Takes};

/// The administrator's defaults.
const SYSTEM_FILE: &str = "/etc/criu/default.conf";

/// Where configuration may come from.
pub struct Sources<'a> {
    /// `--no-default-config`: leave the files of /etc and home alone.
    pub skip_defaults: bool,
    /// The home directory.
    pub home: Option<&'a OsStr>,
    /// `--config`.
    pub named: Option<&'a Path>,
    /// `CRIU_CONFIG_FILE`.
    pub environment: Option<&'a OsStr>,
}

/// What the configuration files say.
#[derive(Default)]
pub struct Configured {
    /// The options as arguments, the strongest last.
    pub arguments: Vec<OsString>,
    /// What is to be said about files that were left out.
    pub notes: Vec<String>,
}

/// Reads all configuration files. Absent default files are fine, absent named ones are not.
pub fn read_all(sources: &Sources<'_>) -> Result<Configured, CliError> {
    let mut all = Configured::default();
    if !sources.skip_defaults {
        let home = sources.home.map(|h| Path::new(h).join(".criu/default.conf"));
        for path in [Some(PathBuf::from(SYSTEM_FILE)), home].into_iter().flatten() {
            match fs::read_to_string(&path) {
                Ok(text) => all.arguments.extend(parse(&path, &text)?),
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                // Another user's home, kept in HOME by su or sudo.
                Err(e) if e.kind() == ErrorKind::PermissionDenied => {
                    all.notes.push(format!("{} is left out: {e}", path.display()));
                }
                Err(e) => return Err(unreadable(&path, &e)),
            }
        }
    }
    let environment = sources.environment.filter(|p| !p.is_empty()).map(Path::new);
    for path in [sources.named, environment].into_iter().flatten() {
        let text = fs::read_to_string(path).map_err(|e| unreadable(path, &e))?;
        all.arguments.extend(parse(path, &text)?);
    }
    Ok(all)
}

fn unreadable(path: &Path, error: &io::Error) -> CliError {
    CliError::usage(format!("failed to read the configuration file {}: {error}", path.display()))
}

/// The arguments that the text of one file stands for.
fn parse(path: &Path, text: &str) -> Result<Vec<OsString>, CliError> {
    let mut arguments = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let argument = words(line).and_then(|words| argument(&words));
        let at = |why| CliError::usage(format!("{}:{}: {why}", path.display(), number + 1));
        arguments.extend(argument.map_err(at)?);
    }
    Ok(arguments)
}

/// One line's words as the argument they stand for; nothing for an empty line.
fn argument(words: &[String]) -> Result<Option<OsString>, String> {
    let Some(first) = words.first() else { return Ok(None) };
    let (name, attached) = match first.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (first.as_str(), None),
    };
    if name.starts_with('-') {
        return Err(format!("`{name}`: write the option's long name without dashes"));
    }
    let (option, negated) = lookup(name).ok_or_else(|| format!("`{name}` is no option"))?;
    if matches!(name, "config" | "no-default-config" | "exec-cmd" | "help" | "version") {
        return Err(format!("`{name}` belongs on the command line"));
    }
    let value = match (attached, &words[1..]) {
        (None, [value]) => Some(value.clone()),
        (attached, []) => attached,
        _ => return Err(format!("`{name}` has more than one value; put it in quotes")),
    };
    match (option.takes, value) {
        (Takes::Nothing, None) => Ok(Some(format!("--{name}").into())),
        (Takes::Value(_) | Takes::Perhaps(..), Some(value)) if !negated => Ok(Some(format!("--{name}={value}").into())),
        (Takes::Perhaps(..), None) => Ok(Some(format!("--{name}").into())),
        (Takes::Value(what), None) => Err(format!("`{name}` needs a value: {what}")),
        (_, Some(value)) => Err(format!("`{name}` takes no value, but got `{value}`")),
    }
}

fn lookup(name: &str) -> Option<(&'static Opt, bool)> {
    if let Some(option) = table::find(name) {
        return Some((option, false));
    }
    let option = table::find(name.strip_prefix("no-")?)?;
    option.has_negation().then_some((option, true))
}

/// Splits a line into words: blanks separate, quotes hold together, `#` at the start of a word begins a comment. In
/// double quotes a backslash makes the next character ordinary.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '#' if word.is_none() => break,
            c if c.is_whitespace() => words.extend(word.take()),
            '"' | '\'' => quoted(&mut chars, c, word.get_or_insert_default())?,
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(chars: &mut std::str::Chars<'_>, quote: char, word: &mut String) -> Result<(), String> {
    loop {
        match chars.next() {
            None => return Err(format!("the quote {quote} is not closed")),
            Some(c) if c == quote => return Ok(()),
            Some('\\') if quote == '"' => word.push(chars.next().ok_or("a backslash ends the line")?),
            Some(c) => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<String>, String> {
        let arguments = parse(Path::new("/a.conf"), text).map_err(|e| e.to_string())?;
        Ok(arguments.into_iter().map(|a| a.into_string().expect("text")).collect())
    }

    #[test]
    fn options_comments_and_quotes() {
        let text = "# all\n\n tcp-established # yes\nlog-file=a.log\nghost-limit 2M\nno-file-locks\nverbosity 4\n\
                    work-dir \"/with blank/\\\"x\" \nimages-dir '/a#b'\nmanage-cgroups";
        let expected = [
            "--tcp-established",
            "--log-file=a.log",
            "--ghost-limit=2M",
            "--no-file-locks",
            "--verbosity=4",
            "--work-dir=/with blank/\"x",
            "--images-dir=/a#b",
            "--manage-cgroups",
        ];
        assert_eq!(parsed(text), Ok(expected.map(str::to_owned).to_vec()));
    }

    #[test]
    fn errors_name_file_and_line() {
        for (text, why) in [
            ("\nnonsense", "/a.conf:2: `nonsense` is no option"),
            ("--tree 3", "without dashes"),
            ("log-file", "needs a value: FILE"),
            ("log-file a b", "more than one value"),
            ("file-locks yes", "takes no value"),
            ("log-file \"a", "not closed"),
            ("config /b.conf", "belongs on the command line"),
            ("no-log-file", "`no-log-file` is no option"),
        ] {
            let error = parsed(text).expect_err(text);
            assert!(error.contains(why), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_panics(line in ".*") {
            let _ = words(&line).and_then(|words| argument(&words));
        }
    }

    #[test]
    fn a_named_file_must_exist() {
        let mut sources = Sources { skip_defaults: true, home: None, named: None, environment: Some(OsStr::new("")) };
        assert!(read_all(&sources).is_ok_and(|all| all.arguments.is_empty()));
        sources.named = Some(Path::new("/nonexistent/a.conf"));
        assert!(read_all(&sources).is_err_and(|e| e.to_string().contains("/nonexistent/a.conf")));
    }
}
