//! Rewrites what getopt understands and clap does not: `-v4` and `-vvvv`, alone or among other short options.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::table::{self, Opt, Takes};

/// The arguments with each verbosity written as `--verbosity[=N]`; all else, and what follows `--`, as it was.
pub fn normalise(arguments: &[OsString]) -> Vec<OsString> {
    let mut out = Vec::with_capacity(arguments.len());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            out.push(argument.clone());
            break;
        }
        let bytes = argument.as_bytes();
        let mut wants_value = false;
        if let Some(long) = bytes.strip_prefix(b"--") {
            wants_value = std::str::from_utf8(long).ok().and_then(table::find).is_some_and(takes_value);
            out.push(argument.clone());
        } else if bytes.len() > 1 && bytes[0] == b'-' {
            wants_value = cluster(&bytes[1..], &mut out);
        } else {
            out.push(argument.clone());
        }
        if wants_value {
            out.extend(rest.next().cloned());
        }
    }
    out.extend(rest.cloned());
    out
}

/// Splits one group of short options; true when the last of them takes the next argument as its value.
fn cluster(letters: &[u8], out: &mut Vec<OsString>) -> bool {
    let mut flags = vec![b'-'];
    let mut at = 0;
    while at < letters.len() {
        let letter = letters[at];
        at += 1;
        if letter == b'v' {
            let digits = letters[at..].iter().take_while(|b| b.is_ascii_digit()).count();
            let level = String::from_utf8_lossy(&letters[at..at + digits]);
            out.push(if digits == 0 { "--verbosity".into() } else { format!("--verbosity={level}").into() });
            at += digits;
            continue;
        }
        flags.push(letter);
        if table::find_short(char::from(letter)).is_some_and(takes_value) {
            flags.extend(&letters[at..]);
            out.push(OsString::from_vec(flags));
            return at == letters.len();
        }
    }
    if flags.len() > 1 {
        out.push(OsString::from_vec(flags));
    }
    false
}

fn takes_value(option: &Opt) -> bool {
    matches!(option.takes, Takes::Value(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(line: &str) -> String {
        let arguments: Vec<_> = line.split_whitespace().map(OsString::from).collect();
        normalise(&arguments).join(" ".as_ref()).into_string().expect("text")
    }

    #[test]
    fn only_verbosity_is_rewritten() {
        for (line, expected) in [
            ("-v4 dump", "--verbosity=4 dump"),
            ("-vv", "--verbosity --verbosity"),
            ("-Rv3j -t 5", "--verbosity=3 -Rj -t 5"),
            ("-jt5v", "-jt5v"),
            ("-jt -v4 -v", "-jt -v4 --verbosity"),
            ("--log-file -v --tree=1 -v1", "--log-file -v --tree=1 --verbosity=1"),
            ("-v -- -v", "--verbosity -- -v"),
            ("- -x", "- -x"),
        ] {
            assert_eq!(normal(line), expected, "{line}");
        }
    }
}
