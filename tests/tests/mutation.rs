//! The mutation test of the harness: for each area one value of an image is changed between dump and restore, and the
//! case must fail. A control run shows that it passes when nothing is changed.
//!
//! The engine that the harness is given is this program: between dump and restore it edits the images through
//! `stasis show` and `stasis encode`.

use anyhow::{Context as _, bail};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

/// The variable that makes this program an engine: the mutation's number, or `none`.
const VARIABLE: &str = "STASIS_MUTATION";

/// A value that is changed.
struct Mutation {
    area: &'static str,
    case: &'static str,
    /// The first characters of the images' names; each of the images is changed.
    images: &'static str,
    key: &'static str,
    change: Change,
}

enum Change {
    /// Bits of the first number that is not zero are flipped.
    Flip(u64),
    /// Something is added to the first number.
    Add(u64),
    /// Every text becomes another.
    Text(&'static str),
    /// The first character of a payload (base64) becomes another.
    Payload,
    /// A byte in the middle of the largest raw file is changed.
    Byte,
}

const fn mutation(
    area: &'static str,
    case: &'static str,
    images: &'static str,
    key: &'static str,
    change: Change,
) -> Mutation {
    Mutation { area, case, images, key, change }
}

static MUTATIONS: [Mutation; 34] = [
    mutation("tree", "tree/zombie_codes", "core-", "exit_code", Change::Flip(0x200)),
    mutation("tree", "tree/names", "core-", "comm", Change::Text("mutant")),
    mutation("threads", "threads/masks", "core-", "blk_sigset", Change::Flip(1 << 9)),
    mutation("threads", "threads/names", "core-", "comm", Change::Text("mutant")),
    mutation("cpu", "cpu/x86_registers", "core-", "r15", Change::Flip(1)),
    mutation("memory", "memory/big_random", "pages-", "", Change::Byte),
    mutation("memory", "memory/protections", "mm-", "prot", Change::Flip(4)),
    mutation("signals", "signals/actions", "core-", "mask", Change::Flip(1 << 11)),
    mutation("time", "time/itimers", "core-", "isec", Change::Flip(1 << 4)),
    mutation("credentials", "threads/creds", "core-", "uid", Change::Flip(2)),
    mutation("files", "files/offset_far", "files.img", "pos", Change::Flip(1)),
    mutation("files", "files/close_on_exec", "fdinfo-", "flags", Change::Flip(1)),
    mutation("files", "tree/single", "fs-", "umask", Change::Flip(7)),
    mutation("pipes", "pipes/data", "pipes-data", "extra", Change::Payload),
    mutation("events", "events/eventfd_counter", "files.img", "counter", Change::Add(1)),
    mutation("events", "events/epoll_modes", "files.img", "data", Change::Flip(1)),
    mutation("events", "events/timerfd_relative", "files.img", "insec", Change::Flip(1)),
    mutation("terminals", "terminals/pair", "tty-info", "c_lflag", Change::Flip(8)),
    mutation("terminals", "terminals/pair", "tty-info", "ws_col", Change::Add(1)),
    mutation("terminals", "terminals/session", "tty-info", "pgrp", Change::Flip(1)),
    mutation("terminals", "terminals/queued_raw", "tty-data", "data", Change::Payload),
    mutation("events", "events/signalfd_pending", "files.img", "sigmask", Change::Flip(1 << 20)),
    mutation("events", "events/inotify_masks", "files.img", "mask", Change::Flip(1 << 9)),
    mutation("events", "events/fanotify_marks", "files.img", "mask", Change::Flip(1 << 3)),
    mutation("memfd", "memfd/seals", "memfd.img", "seals", Change::Flip(2)),
    mutation("userfaultfd", "userfaultfd/protected", "stasis-file", "start", Change::Add(4096)),
    mutation("io_uring", "io_uring/unsubmitted", "stasis-file", "submitted", Change::Add(1)),
    mutation("bpf", "bpf/array", "files.img", "map_name", Change::Text("mutant")),
    mutation("unix", "unix/options", "files.img", "so_priority", Change::Flip(1)),
    mutation("unix", "unix/packets", "sk-queues", "extra", Change::Payload),
    mutation("ipc", "ipc/uts_names", "utsns-", "nodename", Change::Text("mutant")),
    mutation("ipc", "ipc/shm_attached", "ipcns-shm-", "mode", Change::Flip(1)),
    mutation("ipc", "ipc/msg_order", "ipcns-msg-", "mtype", Change::Flip(4)),
    mutation("ipc", "ipc/mqueue_messages", "stasis-mqueue", "priority", Change::Flip(8)),
];

fn main() -> ExitCode {
    let result = match env::var(VARIABLE) {
        Ok(number) => be_the_engine(&number),
        Err(_) => test(),
    };
    result.unwrap_or_else(|e| {
        eprintln!("Error (mutation): {e:#}");
        ExitCode::FAILURE
    })
}

fn test() -> anyhow::Result<ExitCode> {
    let args = Arguments::from_args();
    let harness = stasis_tests::harness()?;
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("the mutations are ignored: dumping and restoring processes takes root");
    }
    let mut trials = Vec::new();
    let mut controls: Vec<&str> = MUTATIONS.iter().map(|m| m.case).collect();
    controls.sort_unstable();
    controls.dedup();
    for case in controls {
        let harness = harness.clone();
        let run = move || run(&harness, "none", case).and_then(passed).map_err(Failed::from);
        trials.push(Trial::test(format!("control::{case}"), run).with_ignored_flag(!root));
    }
    for (number, mutation) in MUTATIONS.iter().enumerate() {
        let harness = harness.clone();
        let run = move || run(&harness, &number.to_string(), mutation.case).and_then(noticed).map_err(Failed::from);
        let name = format!("{}::{}::{}* {}", mutation.area, mutation.case, mutation.images, mutation.key);
        trials.push(Trial::test(name, run).with_ignored_flag(!root));
    }
    Ok(libtest_mimic::run(&args, trials).exit_code())
}

/// Runs a case with this program as the engine; returns whether it passed, and what the harness said.
fn run(harness: &Path, number: &str, case: &str) -> anyhow::Result<(bool, String)> {
    let dir = tempfile::tempdir_in(stasis_tests::target()?)?;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
    let engine = dir.path().join("engine");
    let me = env::current_exe()?;
    fs::write(&engine, format!("#!/bin/sh\n{VARIABLE}={number} exec '{}' \"$@\"\n", me.display()))?;
    fs::set_permissions(&engine, fs::Permissions::from_mode(0o755))?;
    let out = Command::new(harness)
        .args(["run", "--prebuilt", "--exact", "--jobs", "1", "--route", "once", "--engine"])
        .arg(&engine)
        .arg(case)
        .stdin(Stdio::null())
        .output()?;
    let text = [out.stdout, out.stderr].concat();
    Ok((out.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

fn passed((passed, text): (bool, String)) -> anyhow::Result<()> {
    if !passed {
        bail!("the case fails without a change:\n{text}");
    }
    Ok(())
}

/// The harness must have noticed, not the engine: a restore that is refused proves nothing about the case.
fn noticed((passed, text): (bool, String)) -> anyhow::Result<()> {
    if passed {
        bail!("the change was not noticed:\n{text}");
    }
    if text.contains("the dump failed") || text.contains("the restore failed") || !text.contains("FAIL ") {
        bail!("it was not the harness that failed the case:\n{text}");
    }
    Ok(())
}

/// Edits the images where this is the restore, and becomes the real engine.
fn be_the_engine(number: &str) -> anyhow::Result<ExitCode> {
    let real = stasis_tests::target()?.join("release/stasis");
    let args: Vec<String> = env::args().skip(1).collect();
    if args.first().is_some_and(|verb| verb == "restore")
        && let Ok(number) = number.parse::<usize>()
    {
        let at = args.iter().position(|arg| arg == "-D").context("the harness names no directory")?;
        let dir = args.get(at + 1).context("-D without a directory")?;
        mutate(&real, Path::new(dir), MUTATIONS.get(number).context("no such mutation")?)?;
    }
    Err(Command::new(&real).args(&args).exec()).with_context(|| format!("failed to execute {}", real.display()))
}

fn mutate(engine: &Path, dir: &Path, mutation: &Mutation) -> anyhow::Result<()> {
    let mut images: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(mutation.images.as_bytes()) {
            images.push(entry.path());
        }
    }
    images.sort();
    if matches!(mutation.change, Change::Byte) {
        return change_byte(engine, dir, &images);
    }
    let mut changed = 0;
    for image in &images {
        let mut json = show(engine, image)?;
        if change_in(&mut json, mutation) {
            encode(engine, image, &json)?;
            changed += 1;
        }
    }
    if changed == 0 {
        bail!("no {} to change in {} images {}*", mutation.key, images.len(), mutation.images);
    }
    Ok(())
}

fn change_byte(engine: &Path, dir: &Path, images: &[PathBuf]) -> anyhow::Result<()> {
    let largest = images.iter().max_by_key(|path| fs::metadata(path).map_or(0, |m| m.len())).context("no raw file")?;
    let mut bytes = fs::read(largest)?;
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).context("the raw file is empty")? ^= 0xff;
    fs::write(largest, bytes)?;
    // Encoding any image seals the directory anew, with the raw file as it is now.
    let inventory = dir.join("inventory.img");
    encode(engine, &inventory, &show(engine, &inventory)?)
}

/// Changes the first fitting value of the key, depth first, or every one that is a text: a name is said twice. Says
/// whether there was one.
fn change_in(value: &mut Value, mutation: &Mutation) -> bool {
    let every = matches!(mutation.change, Change::Text(_));
    let mut changed = false;
    let mut visit = |key: Option<&String>, inner: &mut Value| {
        if every || !changed {
            let fits = key.is_some_and(|key| key == mutation.key) && change(inner, &mutation.change);
            changed |= fits || change_in(inner, mutation);
        }
    };
    match value {
        Value::Array(all) => all.iter_mut().for_each(|one| visit(None, one)),
        Value::Object(fields) => fields.iter_mut().for_each(|(key, value)| visit(Some(key), value)),
        _ => {}
    }
    changed
}

fn change(value: &mut Value, change: &Change) -> bool {
    let number = value.as_u64();
    let new = match (change, number, value.as_str()) {
        (Change::Flip(bits), Some(number), _) if number != 0 => json!(number ^ bits),
        (Change::Add(more), Some(number), _) => json!(number.wrapping_add(*more)),
        (Change::Text(text), _, Some(_)) => json!(text),
        (Change::Payload, _, Some(text)) if !text.is_empty() => {
            let first = if text.starts_with('A') { 'B' } else { 'A' };
            json!(format!("{first}{}", text.chars().skip(1).collect::<String>()))
        }
        _ => return false,
    };
    *value = new;
    true
}

fn show(engine: &Path, image: &Path) -> anyhow::Result<Value> {
    let out = Command::new(engine).arg("show").arg(image).output()?;
    if !out.status.success() {
        bail!("show {} failed: {}", image.display(), String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(serde_json::from_slice(&out.stdout)?)
}

fn encode(engine: &Path, image: &Path, json: &Value) -> anyhow::Result<()> {
    // Not among the images: what lies there is sealed.
    let text = image.ancestors().nth(2).context("the image lies in no directory")?.join("edited.json");
    fs::write(&text, serde_json::to_vec(json)?)?;
    let out = Command::new(engine).args(["encode", "--reseal"]).arg(&text).arg(image).output()?;
    fs::remove_file(&text)?;
    if !out.status.success() {
        bail!("encode {} failed: {}", image.display(), String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(())
}
