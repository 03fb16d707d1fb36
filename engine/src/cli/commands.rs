//! One function a command: options in, exit status out.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::parse::Parsed;
use super::table::Verb;
use super::{CliError, connect, convert, no_words, say};
use crate::check::{self, Depth};
use crate::options::CommonOptions;

/// Runs `verb`; the caller has refused the ones that are not built.
pub fn run(verb: Verb, parsed: &Parsed, common: CommonOptions) -> Result<u8, CliError> {
    match verb {
        Verb::Dump => dump(parsed, common),
        Verb::Restore => restore(parsed, common),
        Verb::Check if parsed.raw("tree").is_some() => survey(parsed, common),
        Verb::Check => run_check(parsed),
        Verb::Cpuinfo => cpuinfo(parsed, &common),
        Verb::Show => show(parsed),
        Verb::Encode => encode(parsed),
        Verb::PreDump | Verb::PageServer | Verb::LazyPages | Verb::Dedup | Verb::Service | Verb::Swrk => {
            Err(CliError::not_built(&format!("{verb:?}")))
        }
    }
}

fn dump(parsed: &Parsed, common: CommonOptions) -> Result<u8, CliError> {
    no_words(parsed)?;
    let options = convert::dump(parsed, common)?;
    connect::dump(&options)
}

fn restore(parsed: &Parsed, common: CommonOptions) -> Result<u8, CliError> {
    no_words(parsed)?;
    let options = convert::restore(parsed, common)?;
    let status = connect::restore(&options)?;
    let Some([program, arguments @ ..]) = options.exec_cmd.as_deref() else { return Ok(status) };
    // Only a failure returns; the tree stays, as it is whole and its parent lives on until the message is out.
    let error = Command::new(program).args(arguments).exec();
    Err(CliError::of("cli", &error).with_help(format!("failed to run `{}` of --exec-cmd", program.to_string_lossy())))
}

fn survey(parsed: &Parsed, common: CommonOptions) -> Result<u8, CliError> {
    no_words(parsed)?;
    let survey = connect::survey(&convert::dump(parsed, common)?)?;
    if parsed.flag("json") {
        say(&connect::pretty(&survey)?)?;
    } else {
        say(&survey.to_string())?;
    }
    Ok(u8::from(!survey.good))
}

fn run_check(parsed: &Parsed) -> Result<u8, CliError> {
    no_words(parsed)?;
    let features = parsed.raw_values("feature");
    if features.iter().any(|name| name == "list") {
        return say(&check::names().map(|name| format!("{name}\n")).collect::<String>());
    }
    let report = if features.is_empty() {
        if let Some(path) = check::kernel::refresh().filter(|_| !parsed.flag("json")) {
            say(&format!("What the engine goes by is kept until the next boot in {}.\n", path.display()))?;
        }
        check::run(&Depth {
            extra: parsed.flag("extra") || parsed.flag("all"),
            experimental: parsed.flag("experimental") || parsed.flag("all"),
        })
    } else {
        let names: Vec<_> = features.iter().map(|name| name.to_string_lossy()).collect();
        check::features(names.iter().map(AsRef::as_ref)).map_err(|e| CliError::of("check", &e))?
    };
    if parsed.flag("json") {
        let json = serde_json::to_string_pretty(&report).map_err(|e| CliError::of("check", &e))?;
        say(&format!("{json}\n"))?;
    } else {
        say(&report.to_string())?;
    }
    Ok(u8::from(!report.good))
}

fn cpuinfo(parsed: &Parsed, common: &CommonOptions) -> Result<u8, CliError> {
    match parsed.words.as_slice() {
        [word] if word == "dump" => connect::cpuinfo_dump(common),
        [word] if word == "check" => connect::cpuinfo_check(common),
        _ => return Err(CliError::usage("`cpuinfo` needs one of `dump`, `check`")),
    }?;
    Ok(0)
}

fn show(parsed: &Parsed) -> Result<u8, CliError> {
    if parsed.words.is_empty() {
        return Err(CliError::usage("`show` needs a directory of images or image files"));
    }
    for word in &parsed.words {
        let path = Path::new(word);
        let text = if path.is_dir() { connect::show_dir(path, parsed.flag("json")) } else { connect::show_file(path) };
        say(&text?)?;
    }
    Ok(0)
}

fn encode(parsed: &Parsed) -> Result<u8, CliError> {
    match parsed.words.as_slice() {
        [json, image] => connect::encode(Path::new(json), Path::new(image), parsed.flag("reseal"))?,
        _ => return Err(CliError::usage("`encode` needs the JSON file and the image to be made of it")),
    }
    Ok(0)
}
