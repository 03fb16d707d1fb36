//! The routes: what is done to a case between its being ready and its check.

use crate::cell::init::phase;
use crate::cell::tree::Tree;
use crate::cell::{Failure, Step};
use crate::damage::{Damage, Damaged, Place, matching};
use crate::witness::{Tolerance, Witness, summary};
use anyhow::Context as _;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// A way from the gate's `READY` to its `GO`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// The case alone, without an engine: does the case itself hold?
    None,
    /// Dumped and restored.
    Once,
    /// Dumped and restored three times in a row.
    Thrice,
    /// Dumped and left running to its end; then the dump is restored.
    LeaveRunning,
    /// The engine is killed at random instants of dumps; then a normal round.
    KillEngine,
    /// Dumped and restored once, with measurements in place of the witness.
    #[value(skip)]
    Bench,
}

impl Route {
    /// The routes of a case that says nothing about them.
    pub const DEFAULT: [Route; 4] = [Route::Once, Route::Thrice, Route::LeaveRunning, Route::KillEngine];

    /// The name in declarations and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Route::None => "none",
            Route::Once => "once",
            Route::Thrice => "thrice",
            Route::LeaveRunning => "leave-running",
            Route::KillEngine => "kill-engine",
            Route::Bench => "bench",
        }
    }
}

/// Starts the case and takes it along its route to its verdict.
pub fn run(tree: &mut Tree) -> Step {
    phase("start", || tree.start())?;
    if tree.spec.route == Route::None {
        phase("watch", || watch(tree))?;
        return phase("check", || tree.finish());
    }
    if tree.spec.route == Route::Bench {
        return crate::bench::measure(tree);
    }
    if let Some(text) = tree.spec.dump_fails.clone() {
        return dump_fails(tree, &text);
    }
    if let Some(text) = tree.spec.restore_fails.clone() {
        return restore_fails(tree, &text);
    }
    let before = phase("witness", || tree.witness())?;
    match tree.spec.route {
        Route::None | Route::Bench => round(tree, 1, &before)?,
        Route::Once => {
            phase("survey", || clear(tree))?;
            round(tree, 1, &before)?;
        }
        Route::Thrice => (1..=3).try_for_each(|n| round(tree, n, &before))?,
        Route::LeaveRunning => leave_running(tree, &before)?,
        Route::KillEngine => kill_engine(tree, &before)?,
    }
    phase("check", || tree.finish())
}

/// Nothing is done to the tree, so nothing may differ: what changes by itself must be exempt, or the other routes fail
/// by chance.
fn watch(tree: &mut Tree) -> Step {
    let before = tree.witness()?;
    for _ in 0..10 {
        thread::sleep(Duration::from_millis(10));
        let differences = before.differences(&Witness::take(tree.root()), &tree.spec.exempt, Tolerance::None);
        if !differences.is_empty() {
            let what = "the tree changes by itself; the case must say so (`//@ witness: -FIELD # reason`)";
            return Err(Failure::with(what, summary(differences)));
        }
    }
    Ok(())
}

/// One dump and restore; the tree must look as before.
fn round(tree: &mut Tree, number: usize, before: &Witness) -> Step {
    let images = tree.images(number);
    phase("dump", || tree.dump(&images, &[]))?;
    bring_back(tree, &images, before)
}

fn bring_back(tree: &mut Tree, images: &Path, before: &Witness) -> Step {
    phase("restore", || tree.restore(images))?;
    phase("compare", || tree.compare(before, "after the restore", Tolerance::None)).map_err(|mut failure| {
        failure.details.push(tree.opinion());
        failure
    })?;
    tree.no_strays("after the restore")
}

/// A dump that leaves the tree running must leave it as it was.
fn dump_in_passing(tree: &mut Tree, images: &Path, before: &Witness) -> Step<f64> {
    let run = phase("dump", || tree.dump(images, &["-R"]))?;
    tree.compare(before, "after a dump that left it running", Tolerance::None)?;
    tree.no_strays("after the dump")?;
    Ok(run.seconds)
}

fn leave_running(tree: &mut Tree, before: &Witness) -> Step {
    let images = tree.images(1);
    let (scratch, saved) = (tree.spec.scratch(), tree.spec.dir.join("scratch-at-dump"));
    phase("dump", || tree.dump(&images, &["-R"]))?;
    // At once: what the restore needs is how the files were when the tree was dumped.
    fs::create_dir_all(&saved)?;
    copy_all(&scratch, &saved)?;
    tree.compare(before, "after a dump that left it running", Tolerance::None)?;
    tree.no_strays("after the dump")?;
    phase("check the original", || tree.finish())
        .map_err(|f| Failure { what: format!("after a dump that left it running: {}", f.what), ..f })?;
    fs::copy(scratch.join("log"), tree.spec.dir.join("original.log"))?;
    empty(&scratch)?;
    copy_all(&saved, &scratch)?;
    tree.gate = crate::gate::Gate::open(&scratch)?;
    tree.gate.close();
    bring_back(tree, &images, before)
}

fn kill_engine(tree: &mut Tree, before: &Witness) -> Step {
    let images = tree.images(0);
    let duration = dump_in_passing(tree, &images, before)?;
    fs::remove_dir_all(&images)?;
    let mut random = Random(tree.spec.seed);
    for number in 1..=tree.spec.kills {
        let images = tree.images(number);
        let delay = duration * 1.2 * random.unit();
        let at = format!("kill {number} after {:.2} ms of {:.2} ms", delay * 1e3, duration * 1e3);
        phase(&at, || dump_killed(tree, &images, delay, before))
            .map_err(|f| Failure { what: format!("{at}: {}", f.what), ..f })?;
        fs::remove_dir_all(&images)?;
    }
    round(tree, tree.spec.kills + 1, before)
}

/// Kills the engine `delay` seconds after the start of a dump. Afterwards the tree must be as it was, or, where the
/// dump had come to its end, the tree is restored from it.
fn dump_killed(tree: &mut Tree, images: &Path, delay: f64, before: &Witness) -> Step {
    let since = Instant::now();
    let mut child = tree.spawn_dump(images, &[])?;
    thread::sleep(Duration::from_secs_f64(delay).saturating_sub(since.elapsed()));
    child.kill()?;
    let run = tree.wait_engine(&child, "dump", images, since)?;
    if run.status.code().is_some_and(|code| code != 0) {
        return Err(Failure::with(format!("the dump failed by itself ({})", run.status), run.lines()));
    }
    if run.status.success() {
        tree.gone("after the dump")?;
        return bring_back(tree, images, before);
    }
    // What did the work goes on for a moment: it gives up, or, where the dump had come to its end, kills the tree.
    tree.no_strays("after the engine was killed")?;
    // A tree that the engine had begun to kill is that of a finished dump: the images must be whole.
    if !tree.whole() {
        return bring_back_killed(tree, images, before);
    }
    match tree.compare(before, "after the engine was killed", Tolerance::ScratchArea) {
        // Between the look at the tree and the comparison the kernel may have carried out the engine's last kills.
        Err(_) if !tree.whole() => bring_back_killed(tree, images, before),
        compared => compared,
    }
}

fn bring_back_killed(tree: &mut Tree, images: &Path, before: &Witness) -> Step {
    tree.kill()?;
    bring_back(tree, images, before)
        .map_err(|f| Failure { what: format!("the engine was killed while it killed the tree: {}", f.what), ..f })
}

/// A survey must find beforehand what the dump will say, unless only a stopped task shows it.
fn foreseen(tree: &mut Tree, images: &Path, text: &str) -> Step {
    let run = tree.survey(images)?;
    let found = run.text.lines().any(|line| line.contains(text)) && !run.status.success();
    match (found, tree.spec.unseen) {
        (true, false) | (false, true) => Ok(()),
        (false, false) => Err(Failure::with(format!("`check -t` did not find `{text}`"), run.lines())),
        (true, true) => Err(Failure::with("`check -t` found what the case declares to be unseen", run.lines())),
    }
}

/// A survey must find nothing in the way of a dump that succeeds.
fn clear(tree: &mut Tree) -> Step {
    let images = tree.images(1);
    let run = tree.survey(&images)?;
    match run.status.success() {
        true => Ok(()),
        false => Err(Failure::with("`check -t` found what the dump does not refuse", run.lines())),
    }
}

/// The dump must fail with an error that contains `text`; the tree runs on as it was.
fn dump_fails(tree: &mut Tree, text: &str) -> Step {
    let before = phase("witness", || tree.witness())?;
    let images = tree.images(1);
    phase("survey", || foreseen(tree, &images, text))?;
    phase("compare", || tree.compare(&before, "after a survey", Tolerance::None))?;
    let run = phase("dump", || tree.try_dump(&images, &[]))?;
    if run.status.success() {
        return Err(Failure::new(format!("the dump succeeded; it should have failed with `{text}`")));
    }
    if !run.text.contains(text) {
        return Err(Failure::with(format!("the dump failed, but no error says `{text}`"), run.lines()));
    }
    phase("compare", || tree.compare(&before, "after the failed dump", Tolerance::None))?;
    tree.no_strays("after the failed dump")?;
    phase("check", || tree.finish())?;
    // What a failed dump leaves must not pass for a dump.
    let run = phase("restore", || tree.try_restore(&images))?;
    if run.status.success() {
        tree.kill()?;
        return Err(Failure::new("what the failed dump left was restored"));
    }
    tree.gone("after the restore of what the failed dump left")
}

/// The restore must fail with an error that contains `text` and leave nothing. Where damage made it fail, it succeeds
/// when the damage is undone: failed restores left images and files alone.
fn restore_fails(tree: &mut Tree, text: &str) -> Step {
    let before = phase("witness", || tree.witness())?;
    let images = tree.images(1);
    phase("dump", || tree.dump(&images, &[]))?;
    let all = tree.spec.damage.clone();
    if all.is_empty() {
        return failing_restore(tree, &images, text, "the restore");
    }
    for damage in all {
        match damage {
            Damage::TakePid => with_pid_taken(tree, &images, text)?,
            Damage::Files(verb, place, glob) => {
                let dir = if place == Place::Images { images.clone() } else { tree.spec.scratch() };
                for path in matching(&dir, &glob)? {
                    let Some(damaged) = Damaged::new(verb, &path)? else { continue };
                    let what = format!("the restore with {}", damaged.what);
                    let result = failing_restore(tree, &images, text, &what);
                    damaged.undo()?;
                    result?;
                }
            }
        }
    }
    bring_back(tree, &images, &before)?;
    phase("check", || tree.finish())
}

fn failing_restore(tree: &mut Tree, images: &Path, text: &str, what: &str) -> Step {
    let run = phase(what, || tree.try_restore(images))?;
    if run.status.success() {
        tree.kill()?;
        return Err(Failure::new(format!("{what} succeeded; it should have failed with `{text}`")));
    }
    if !run.text.contains(text) {
        return Err(Failure::with(format!("{what} failed, but no error says `{text}`"), run.lines()));
    }
    tree.gone(&format!("after {what}"))
}

/// A stranger gets the root's pid: the next pid of a namespace is one above `ns_last_pid`.
fn with_pid_taken(tree: &mut Tree, images: &Path, text: &str) -> Step {
    let root = tree.root().as_raw();
    fs::write("/proc/sys/kernel/ns_last_pid", (root - 1).to_string()).context("failed to set the next pid")?;
    let mut stranger = Command::new("sleep").arg("1000").spawn().context("failed to start a stranger")?;
    let got = stranger.id().cast_signed();
    let result = if got == root {
        tree.with_outsider(got, |tree| failing_restore(tree, images, text, "the restore with the pid taken"))
    } else {
        Err(Failure::new(format!("the stranger got pid {got} instead of {root}")))
    };
    stranger.kill()?;
    stranger.wait()?;
    result
}

/// Copies what is in a directory, with owners, times, links, holes and special files.
pub fn copy_all(from: &Path, to: &Path) -> Step {
    let out = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).output().context("failed to start cp")?;
    if !out.status.success() {
        let text = String::from_utf8_lossy(&out.stderr);
        return Err(Failure::new(format!("failed to copy {}: {}", from.display(), text.trim())));
    }
    Ok(())
}

fn empty(dir: &Path) -> Step {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A small generator of random numbers (splitmix64): the same seed gives the same instants.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_follow_from_the_seed_and_spread() {
        let all: Vec<f64> = (0..1000).map(|_| 0.0).scan(Random(7), |r, _: f64| Some(r.unit())).collect();
        assert!(all.iter().all(|x| (0.0..1.0).contains(x)));
        let mean = all.iter().sum::<f64>() / 1000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
        assert_eq!(Random(7).unit(), all[0]);
    }
}
