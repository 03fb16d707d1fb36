//! `cargo zdtm bench`: engines in turn on the shapes of `cases/bench`, several rounds, medians and ratios.
//!
//! A round is a whole run of a case: started, dumped (killed), restored, checked. Times are the wall times of the
//! engine's processes. Images lie in the target directory, on its disk.

use crate::build::{Paths, find_program};
use crate::cell::init::{measure as note, phase};
use crate::cell::tree::Tree;
use crate::cell::{Outcome, Step};
use crate::cli::{BenchArgs, Flavour};
use crate::declare::Case;
use crate::pool::Pool;
use crate::route::{Route, copy_all};
use crate::setting::{self, Setting};
use crate::{list, stats};
use anyhow::{Context as _, bail};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Images from this size on are copied too: what the disk takes for the same bytes.
const WORTH_COPYING: u64 = 64 << 20;

/// The measures in the order of the table's columns: name, heading, factor, decimals.
const COLUMNS: [(&str, &str, f64, usize); 5] = [
    ("dump", "dump s", 1.0, 4),
    ("restore", "restore s", 1.0, 4),
    ("frozen", "frozen s", 1.0, 4),
    ("bytes", "images MiB", 1.0 / (1 << 20) as f64, 1),
    ("copy", "cp s", 1.0, 3),
];

/// What an engine did with a shape.
#[derive(Serialize)]
struct Series {
    engine: PathBuf,
    /// The measures of each round.
    rounds: Vec<BTreeMap<String, f64>>,
    medians: BTreeMap<String, f64>,
}

/// All engines on one shape.
#[derive(Serialize)]
struct Shape {
    shape: String,
    series: Vec<Series>,
    /// Of dump and restore: the median over the rounds of the first engine's time by the second's.
    ratios: BTreeMap<String, f64>,
}

/// Inside the cell: dumps and restores once, notes the measures and lets the case check itself.
pub fn measure(tree: &mut Tree) -> Step {
    // What earlier rounds wrote is not to be written back during this one.
    nix::unistd::sync();
    let images = tree.images(1);
    let dump = phase("dump", || tree.dump(&images, &[]))?;
    note("dump", dump.seconds);
    if let Some(frozen) = stats::frozen(&images) {
        note("frozen", frozen);
    }
    let bytes = size(&images)?;
    note("bytes", bytes as f64);
    let restore = phase("restore", || tree.restore(&images))?;
    note("restore", restore.seconds);
    phase("check", || tree.finish())?;
    if bytes >= WORTH_COPYING {
        nix::unistd::sync();
        let copy = tree.spec.dir.join("copy");
        fs::create_dir(&copy)?;
        let since = Instant::now();
        phase("copy", || copy_all(&images, &copy))?;
        note("copy", since.elapsed().as_secs_f64());
    }
    Ok(())
}

/// The bytes that the files of a directory take on the disk, logs not counted: holes cost nothing.
fn size(dir: &Path) -> Step<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let log = entry.path().extension().is_some_and(|e| e == "log" || e == "out");
        if !log {
            let meta = entry.metadata()?;
            sum += meta.len().min(std::os::unix::fs::MetadataExt::blocks(&meta) * 512);
        }
    }
    Ok(sum)
}

/// Runs the rounds and prints the table.
pub fn run(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    setting::check_root("bench")?;
    let paths = Paths::locate(args.engine.as_deref())?;
    if !args.prebuilt {
        paths.build(args.engine.is_none())?;
    }
    paths.check(true)?;
    let mut engines = vec![paths.engine.clone()];
    if let Some(other) = &args.vs {
        engines.push(find_program(other)?);
    }
    let chosen = shapes(&paths, &args.shapes)?;
    let setting = Setting::new(&paths, None, 0, args.patience)?;
    let pool = Pool::new()?;
    let run = |case| run_shape(&setting, &pool, case, &engines, args.rounds);
    let result: anyhow::Result<Vec<Shape>> = chosen.iter().map(run).collect();
    setting.clean()?;
    if pool.cancelled() {
        return Ok(ExitCode::from(130));
    }
    let result = result?;
    println!("{}", table(&result));
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&result)? + "\n";
        fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn shapes(paths: &Paths, filters: &[String]) -> anyhow::Result<Vec<Case>> {
    let mut all = list::cases(paths)?;
    all.retain(|case| {
        case.name
            .strip_prefix(list::HIDDEN)
            .is_some_and(|name| filters.is_empty() || filters.iter().any(|f| name.contains(f)))
    });
    if all.is_empty() {
        bail!("no shape matches {}", filters.join(" "));
    }
    Ok(all)
}

/// All rounds of a shape, the engines in turn.
fn run_shape(setting: &Setting, pool: &Pool, case: &Case, engines: &[PathBuf], rounds: usize) -> anyhow::Result<Shape> {
    let shape = case.name.trim_start_matches(list::HIDDEN).to_owned();
    let mut series: Vec<Series> = engines
        .iter()
        .map(|engine| Series { engine: engine.clone(), rounds: Vec::new(), medians: BTreeMap::new() })
        .collect();
    for round in 1..=rounds.max(1) {
        for (number, one) in series.iter_mut().enumerate() {
            eprintln!("{shape}, round {round}, {}", one.engine.display());
            let dir = setting.dir.join(format!("bench-{shape}-{round}-{number}"));
            let mut spec = setting.spec(case, Flavour::Host, Route::Bench, round, &dir);
            spec.engine.clone_from(&one.engine);
            let outcome = setting.run_cell(&spec, pool)?;
            let measures = measures(outcome, &shape, &one.engine)?;
            // ext4 does not give out the inodes of deleted files for a minute or more and looks at each of them again
            // and again: files that are removed here would be paid for by the next round. What is few and large goes at
            // once, the rest with everything else at the end.
            if measures.get("bytes").is_none_or(|bytes| *bytes >= WORTH_COPYING as f64 * 4.0) {
                fs::remove_dir_all(&dir).context("failed to remove the images")?;
            }
            one.rounds.push(measures);
        }
    }
    for one in &mut series {
        for (name, ..) in COLUMNS {
            let values = one.rounds.iter().filter_map(|round| round.get(name).copied()).collect();
            if let Some(value) = median(values) {
                one.medians.insert(name.to_owned(), value);
            }
        }
    }
    let ratios = ratios(&series);
    Ok(Shape { shape, series, ratios })
}

fn measures(outcome: Outcome, shape: &str, engine: &Path) -> anyhow::Result<BTreeMap<String, f64>> {
    match outcome.failure {
        None => Ok(outcome.measures),
        Some(failure) => bail!("{shape} with {}: {}\n{}", engine.display(), failure.what, failure.details.join("\n")),
    }
}

fn ratios(series: &[Series]) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    if let [first, second] = series {
        for name in ["dump", "restore", "frozen"] {
            let pairs = first.rounds.iter().zip(&second.rounds);
            let all = pairs.filter_map(|(a, b)| Some(a.get(name)? / b.get(name)?)).collect();
            if let Some(value) = median(all) {
                found.insert(name.to_owned(), value);
            }
        }
    }
    found
}

/// The median; of an even number the mean of the two in the middle. None of nothing.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied()?;
    Some(if values.len().is_multiple_of(2) { f64::midpoint(values[middle - 1], upper) } else { upper })
}

fn table(shapes: &[Shape]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    let mut header = vec!["shape", "engine"];
    header.extend(COLUMNS.iter().map(|(_, heading, ..)| *heading));
    header.extend(["dump ×", "restore ×"]);
    table.set_header(header);
    for shape in shapes {
        for (number, series) in shape.series.iter().enumerate() {
            let name = series.engine.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let mut row = vec![if number == 0 { shape.shape.clone() } else { String::new() }, name];
            for (measure, _, factor, decimals) in COLUMNS {
                row.push(series.medians.get(measure).map_or(String::new(), |v| format!("{:.decimals$}", v * factor)));
            }
            for measure in ["dump", "restore"] {
                let ratio = shape.ratios.get(measure).filter(|_| number == 0);
                row.push(ratio.map_or(String::new(), |r| format!("{r:.2}")));
            }
            table.add_row(row);
        }
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn ratios_are_of_pairs() {
        let series = |times: [f64; 3]| Series {
            engine: "/e".into(),
            rounds: times.iter().map(|t| BTreeMap::from([("dump".to_owned(), *t)])).collect(),
            medians: BTreeMap::new(),
        };
        let both = [series([1.0, 2.0, 9.0]), series([2.0, 4.0, 3.0])];
        assert_eq!(ratios(&both), BTreeMap::from([("dump".to_owned(), 0.5)]));
        assert!(ratios(&both[..1]).is_empty());
    }
}
