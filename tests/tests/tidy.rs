//! The house rules that can be checked, on every source of the workspace. CONTRIBUTING says why they are.

use stasis_tests::root;
use stasis_tests::source::{self, Source, body, functions};

/// Where `unsafe` may stand: the engine's two layers, the code generators, the suite's programs and their harness's
/// one layer.
const UNSAFE: [&str; 8] = [
    "engine/src/sys/",
    "engine/src/sys.rs",
    "engine/src/remote/",
    "engine/src/remote.rs",
    "arch/",
    "zdtm/cases/",
    "zdtm/src/sys.rs",
    "tests/targets/",
];
const FILE_LIMIT: usize = 600;
const FUNCTION_LIMIT: usize = 70;

fn sources() -> Vec<Source> {
    let all = source::all().expect("the sources are readable");
    assert!(all.len() > 20, "only {} sources were found", all.len());
    all
}

/// Fails with the offences, one a line.
fn none(offences: Vec<String>, rule: &str) {
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}

#[test]
fn a_file_begins_with_what_it_is() {
    let bare = |s: &&Source| !s.text.lines().next().is_some_and(|l| l.len() > 4 && l.starts_with("//! "));
    none(sources().iter().filter(bare).map(|s| s.path.clone()).collect(), "rule 1: the first line is `//! …`");
}

#[test]
fn unsafe_stays_in_its_layers() {
    let mut offences = Vec::new();
    for source in sources().iter().filter(|s| !UNSAFE.iter().any(|dir| s.path.starts_with(dir))) {
        for (number, line) in source.code.lines().enumerate().filter(|(_, line)| has_word(line, "unsafe")) {
            offences.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
        }
    }
    none(offences, "rule 2: `unsafe` outside of its layers");
}

#[test]
fn every_unsafe_block_has_its_argument() {
    let mut offences = Vec::new();
    for source in &sources() {
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, code) in source.code.lines().enumerate() {
            let block = code.contains("unsafe {") || code.contains("unsafe impl");
            if block && !argued(&lines, number) {
                offences.push(format!("{}:{}", source.path, number + 1));
            }
        }
    }
    none(offences, "rule 2: an unsafe block without `// SAFETY:`");
}

/// Whether the line, or the statement that it is part of, has a safety comment above it.
fn argued(lines: &[&str], number: usize) -> bool {
    const STATEMENT: usize = 4;
    let mut code_lines = 0;
    for line in lines[..=number].iter().rev() {
        if line.contains("SAFETY:") {
            return true;
        }
        if !line.trim_start().starts_with("//") {
            code_lines += 1;
        }
        if code_lines > STATEMENT {
            return false;
        }
    }
    false
}

#[test]
fn only_arch_asks_for_the_cpu() {
    let mut offences = Vec::new();
    for source in sources().iter().filter(|s| !s.path.starts_with("arch/")) {
        for (number, line) in source.code.lines().enumerate().filter(|(_, line)| has_word(line, "target_arch")) {
            offences.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
        }
    }
    none(offences, "rule 3: `cfg(target_arch)` outside of arch/");
}

#[test]
fn a_kind_and_its_message_share_a_name() {
    let mut offences = Vec::new();
    for source in sources().iter().filter(|s| s.code.contains("impl Kind for ")) {
        let name = match source.path.strip_prefix("engine/src/kind/") {
            Some(rest) => rest.trim_end_matches("/mod.rs").trim_end_matches(".rs").to_owned(),
            None => {
                offences.push(format!("{}: a kind outside of engine/src/kind/", source.path));
                continue;
            }
        };
        let proto = root().join(format!("engine/image/{name}.proto"));
        if !proto.is_file() {
            offences.push(format!("{}: there is no engine/image/{name}.proto", source.path));
        }
    }
    none(offences, "rule 4: a kind's file and its proto share one name");
}

#[test]
fn kind_traits_default_nothing() {
    let mut offences = Vec::new();
    for source in sources().iter().filter(|s| s.path.starts_with("engine/src/kind/")) {
        for (at, _) in source.code.match_indices("pub trait ") {
            let Some((open, close)) = body(&source.code[at..]) else { continue };
            for function in functions(&source.code[at + open + 1..at + close]) {
                offences.push(format!("{}: {} has a default", source.path, function.name));
            }
        }
    }
    none(offences, "rule 5: a step left out of a kind must be written down");
}

#[test]
fn the_phases_are_a_flat_list() {
    let mut offences = Vec::new();
    for name in ["dump", "restore"] {
        let path = format!("engine/src/{name}/mod.rs");
        let sources = sources();
        let Some(source) = sources.iter().find(|s| s.path == path) else {
            // The engine is built step by step; a directory without its list of phases is not.
            if root().join(format!("engine/src/{name}")).is_dir() {
                offences.push(format!("{path} is missing"));
            }
            continue;
        };
        let Some(run) = functions(&source.code).into_iter().find(|f| f.name == "run") else {
            offences.push(format!("{path} has no `run`"));
            continue;
        };
        for word in ["for", "while", "loop", "match"] {
            if has_word(&run.body, word) {
                offences.push(format!("{path}:{}: `{word}` in `run`", run.line));
            }
        }
    }
    none(offences, "rule 9: `run` is one flat list of phases");
}

#[test]
fn files_and_functions_are_short() {
    let mut offences = Vec::new();
    for source in &sources() {
        let lines = source.text.lines().count();
        if lines > FILE_LIMIT {
            offences.push(format!("{}: {lines} lines", source.path));
        }
        let long = functions(&source.code).into_iter().filter(|f| f.length > FUNCTION_LIMIT);
        offences.extend(long.map(|f| format!("{}:{}: `{}` has {} lines", source.path, f.line, f.name, f.length)));
    }
    none(offences, "rule 10: files have at most 600 lines, functions 70");
}

#[test]
fn declarations_stand_on_top() {
    let mut offences = Vec::new();
    for source in sources().iter().filter(|s| s.path.starts_with("zdtm/cases/")) {
        let head = |line: &&str| line.starts_with("//!") || line.starts_with("//@");
        let top = source.text.lines().take_while(head).count();
        for (number, line) in source.text.lines().enumerate().skip(top).filter(|(_, l)| l.trim().starts_with("//@")) {
            offences.push(format!("{}:{}: {line} is not read", source.path, number + 1));
        }
    }
    none(offences, "a case's declaration is the top of its file, without a blank line");
}

/// Whether a line has a word that is not a part of another.
fn has_word(text: &str, word: &str) -> bool {
    let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word)
        .any(|(at, _)| !joins(text[..at].chars().next_back()) && !joins(text[at + word.len()..].chars().next()))
}
