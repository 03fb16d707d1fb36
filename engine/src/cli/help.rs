//! The text of `--help` and `--version`.

use std::fmt::Write;

use super::table::{OPTIONS, Opt, State, Takes, VERBS, VerbSpec};

/// The version of the command line that we speak, which callers parse, and our own.
pub fn version() -> String {
    format!("Version: 4.2\nStasis {}\n", env!("CARGO_PKG_VERSION"))
}

/// Help about one command, or about all.
pub fn text(program: &str, verb: Option<&VerbSpec>) -> String {
    let mut out = String::new();
    match verb {
        Some(verb) => {
            line(
                &mut out,
                &format!("{program} {} {}\n{}{}", verb.name, verb.usage, capital(verb.help), built(verb.built)),
            );
        }
        None => {
            line(
                &mut out,
                &format!("{program} COMMAND [OPTIONS]\nCheckpoints and restores process trees.\n\nCommands:"),
            );
            for verb in VERBS {
                line(&mut out, &format!("  {:<12} {}{}", verb.name, verb.help, built(verb.built)));
            }
        }
    }
    line(&mut out, "\nOptions:");
    for option in OPTIONS.iter().filter(|o| !o.help.is_empty() && verb.is_none_or(|v| o.applies_to(v.verb))) {
        let later = built(option.state != State::KnownNotBuilt);
        line(&mut out, &format!("  {:<34} {}{later}", form(option), option.help));
    }
    line(
        &mut out,
        "\nOptions that take no value have an opposite: --no-NAME. Options may stand before or after the command.\n\
         Defaults come from /etc/criu/default.conf, ~/.criu/default.conf, --config FILE and $CRIU_CONFIG_FILE.",
    );
    out
}

fn form(option: &Opt) -> String {
    let short = option.short.map_or_else(|| "    ".to_owned(), |s| format!("-{s}, "));
    let value = match option.takes {
        Takes::Nothing => String::new(),
        Takes::Value(name) => format!(" {name}"),
        Takes::Perhaps(name, _) => format!("[={name}]"),
    };
    format!("{short}--{}{value}", option.long)
}

fn built(built: bool) -> &'static str {
    if built { "" } else { " (not built yet)" }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn line(out: &mut String, text: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}
