//! Finds the cases (`<area>/<case>.rs`), makes a module of each and a table with their declarations.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

/// The CPUs as the compiler calls them, and the prefix of the cases that are for one of them alone.
const CPUS: [(&str, &str); 4] = [("x86_64", "x86"), ("aarch64", "aarch64"), ("powerpc64", "ppc64"), ("s390x", "s390x")];

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    println!("cargo::rerun-if-changed={root}");
    let cpu = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets CARGO_CFG_TARGET_ARCH");
    let cpu = CPUS.iter().find(|(arch, _)| *arch == cpu).map_or("", |(_, name)| name);
    println!("cargo::rustc-check-cfg=cfg(cpu, values(\"x86\", \"aarch64\", \"ppc64\", \"s390x\"))");
    println!("cargo::rustc-cfg=cpu=\"{cpu}\"");
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
            let foreign = |(_, other): &(&str, &str)| *other != cpu && name.starts_with(&format!("{other}_"));
            if CPUS.iter().any(foreign) {
                continue;
            }
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
