//! Finds the cases (`<area>/<case>.rs`), makes a module of each and a table with their declarations.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    println!("cargo::rerun-if-changed={root}");
    let mut modules = String::new();
    let mut table = String::from(
        "/// Every case: its name, its source (for the declaration on top) and its entry.\npub static CASES: &[Case] = &[\n",
    );
    for area in sorted(Path::new(&root)) {
        if !area.is_dir() {
            continue;
        }
        let area_name = stem(&area);
        for case in sorted(&area) {
            if case.extension().is_none_or(|e| e != "rs") {
                continue;
            }
            let name = stem(&case);
            let path = case.display();
            println!("cargo::rerun-if-changed={path}");
            writeln!(modules, "#[path = {path:?}]\nmod {area_name}_{name};", path = path.to_string()).unwrap();
            writeln!(
                table,
                "    Case {{ name: \"{area_name}/{name}\", source: include_str!({path:?}), run: {area_name}_{name}::run }},",
                path = path.to_string()
            )
            .unwrap();
        }
    }
    table.push_str("];\n");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("cases.rs"), modules + &table).expect("OUT_DIR is writable");
}

/// The entries of a directory in the order of their names.
fn sorted(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(dir).expect("the cases are readable").map(|e| e.unwrap().path()).collect();
    entries.sort();
    entries
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}
