//! The documents stay true where that can be checked: links, paths, names of functions, areas of cases, keys of a case.

use std::collections::BTreeSet;
use std::fs;

use stasis_tests::{root, source};

const DOCUMENTS: [&str; 3] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"];

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// What stands between single backticks outside of code blocks.
fn quoted(text: &str) -> Vec<String> {
    let mut block = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            block = !block;
        } else if !block {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

#[test]
fn links_lead_somewhere() {
    let mut links = 0;
    for document in DOCUMENTS {
        for target in read(document).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(target.contains("://") || root().join(target).exists(), "{document}: {target} is not there");
            links += 1;
        }
    }
    assert!(links >= 5, "only {links} links were found");
}

#[test]
fn paths_exist() {
    let tops = ["arch/", "engine/", "zdtm/", "tests/", "docs/", ".ci/"];
    let mut paths = 0;
    for document in DOCUMENTS {
        for path in quoted(&read(document)) {
            // NAME and * stand for something else.
            let literal = !path.contains(|c: char| c.is_ascii_uppercase() || c == '*' || c == ' ');
            if literal && tops.iter().any(|top| path.starts_with(top)) {
                assert!(root().join(&path).exists(), "{document}: `{path}` is not there");
                paths += 1;
            }
        }
    }
    assert!(paths >= 20, "only {paths} paths were found");
}

#[test]
fn functions_exist() {
    let sources = source::all().expect("the sources are readable");
    let mut names = 0;
    for name in quoted(&read("ARCHITECTURE.md")).iter().filter(|name| name.contains("::")) {
        let last = name.rsplit("::").next().unwrap_or(name);
        let forms = ["fn", "struct", "enum", "mod", "trait"].map(|form| format!("{form} {last}"));
        let is_there = |code: &str| {
            forms.iter().any(|form| {
                code.match_indices(form.as_str())
                    .any(|(at, _)| !code[at + form.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_'))
            })
        };
        assert!(sources.iter().any(|s| is_there(&s.code)), "there is no `{name}`");
        names += 1;
    }
    assert!(names >= 20, "only {names} names were found");
}

#[test]
fn the_readme_names_every_area() {
    let readme = read("README.md");
    let supported = readme.split("## What is supported").nth(1).and_then(|rest| rest.split("### What is lost").next());
    let supported = supported.expect("the README says what is supported");
    let named: BTreeSet<&str> = supported
        .lines()
        .filter_map(|line| line.strip_prefix('|')?.trim_end_matches('|').rsplit('|').next())
        .map(str::trim)
        .chain(["failure"])
        .collect();
    for entry in fs::read_dir(root().join("zdtm/cases")).expect("the cases are readable").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && name != "bench" {
            assert!(named.contains(name.as_str()), "the README's table has no row proved by {name}");
        }
    }
}

#[test]
fn every_key_of_a_case_is_explained() {
    let declare = read("zdtm/src/declare.rs");
    let body = declare.split("fn set(").nth(1).and_then(|rest| rest.split("\n    fn ").next()).expect("a function");
    let keys: Vec<&str> =
        body.lines().filter_map(|line| line.trim().strip_prefix('"')?.split("\" =>").next()).collect();
    assert!(keys.len() >= 8, "only {keys:?} were found");
    let explained = quoted(&read("CONTRIBUTING.md"));
    for key in keys {
        assert!(explained.iter().any(|word| word == key), "CONTRIBUTING.md does not explain `{key}`");
    }
}
