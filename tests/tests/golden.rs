//! The golden test of the format: for each kind that CRIU's images have, a case is dumped and what lies in the image is
//! compared, field by field, with a snapshot in `tests/snapshots`. What differs by run or machine is redacted by the
//! name of its field.
//!
//! The engine that the harness is given is this program: it keeps the images when they are to be restored.

use anyhow::{Context as _, ensure};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

/// The variable that makes this program an engine: where it keeps the images.
const VARIABLE: &str = "STASIS_GOLDEN";

/// What of the images of a case is a kind's.
struct Golden {
    kind: &'static str,
    case: &'static str,
    /// The first characters of the images' names.
    images: &'static str,
    /// A JSON pointer to the part of an entry; if that is a list, its members are what is looked at.
    part: &'static str,
    /// Only what has this text in its JSON.
    only: &'static str,
    /// Fields, and all that lies in them, which differ by run or machine; more than [`EVERYWHERE`] has.
    redact: &'static [&'static str],
}

const fn golden(kind: &'static str, case: &'static str, images: &'static str) -> Golden {
    Golden { kind, case, images, part: "", only: "", redact: &[] }
}

impl Golden {
    const fn part(self, part: &'static str) -> Self {
        Self { part, ..self }
    }

    const fn only(self, only: &'static str) -> Self {
        Self { only, ..self }
    }

    const fn redact(self, redact: &'static [&'static str]) -> Self {
        Self { redact, ..self }
    }
}

const TIME: &[&str] = &["vsec", "vusec", "vnsec", "tv_sec", "tv_usec", "tv_nsec"];
const VMA: &[&str] = &["start", "end", "pgoff", "shmid"];

static KINDS: [Golden; 57] = [
    golden("inventory", "tree/single", "inventory").redact(&["dump_criu_run_id", "lsmtype"]),
    golden("pstree", "threads/names", "pstree"),
    golden("pstree_children", "files/lock_posix", "pstree"),
    golden("core", "tree/single", "core-").redact(&[
        "clear_tid_addr",
        "gpregs",
        "fpregs",
        "rlimits",
        "sigactions",
        "creds",
        "futex_rla",
        "rseq_abi_pointer",
        "rseq_abi_size",
    ]),
    golden("rlimits", "tree/single", "core-").part("/tc/rlimits").redact(&["cur", "max"]),
    golden("sigactions", "signals/actions", "core-").part("/tc/sigactions").redact(&["sigaction", "restorer"]),
    golden("signals_shared", "signals/queued_order", "core-").part("/tc/signals_s"),
    golden("signals_private", "signals/queued_order", "core-").part("/thread_core/signals_p"),
    golden("itimers", "time/itimers", "core-").part("/tc/timers").redact(TIME),
    golden("posix_timers", "time/posix_timers", "core-").part("/tc/timers/posix").redact(TIME),
    golden("creds", "threads/creds", "core-").part("/thread_core/creds").redact(&["cap_prm", "cap_eff", "cap_bnd"]),
    golden("seccomp_task", "creds/seccomp_filter", "core-").part("/thread_core").redact(&[
        "futex_rla",
        "rseq_abi_pointer",
        "rseq_abi_size",
        "cap_prm",
        "cap_eff",
        "cap_bnd",
    ]),
    golden("seccomp", "creds/seccomp_filter", "seccomp"),
    golden("ids", "files/lock_posix", "ids-"),
    golden("fs", "tree/single", "fs-"),
    golden("mm", "tree/single", "mm-").redact(&[
        "mm_start_code",
        "mm_end_code",
        "mm_start_data",
        "mm_end_data",
        "mm_start_stack",
        "mm_start_brk",
        "mm_brk",
        "mm_arg_start",
        "mm_arg_end",
        "mm_env_start",
        "mm_env_end",
    ]),
    golden("vma_heap", "tree/single", "mm-").part("/vmas").only("\"status\":545").redact(VMA),
    golden("vma_file", "tree/single", "mm-").part("/vmas").only("\"status\":129").redact(VMA),
    golden("vma_aio", "aio/completed", "mm-").part("/vmas").only("\"status\":8192").redact(VMA),
    golden("aio", "aio/completed", "mm-").part("/aios").redact(&["id"]),
    golden("fdinfo", "events/eventfd_counter", "fdinfo-"),
    golden("reg", "files/offset_flags", "files.img").only("/scratch/file"),
    golden("ghost", "files/deleted_data", "ghost-file-").redact(TIME),
    golden("remap_ghost", "files/deleted_data", "remap-fpath"),
    golden("remap_linked", "files/deleted_linked", "remap-fpath"),
    golden("remap_procfs", "files/proc_tasks", "remap-fpath"),
    golden("lock_posix", "files/lock_posix", "filelocks").only("\"start\":8589934592"),
    golden("lock_flock", "files/lock_flock", "filelocks").only("\"type\":1"),
    golden("pipe", "pipes/data", "files.img").only("\"PIPE\""),
    golden("pipe_data", "pipes/data", "pipes-data"),
    golden("fifo", "pipes/fifo_data", "files.img").only("\"FIFO\""),
    golden("fifo_data", "pipes/fifo_data", "fifo-data"),
    golden("eventfd", "events/eventfd_counter", "files.img").only("\"EVENTFD\""),
    golden("eventpoll", "events/epoll_blocked", "files.img").only("\"EVENTPOLL\""),
    golden("timerfd", "events/timerfd_relative", "files.img").only("\"TIMERFD\"").redact(TIME),
    golden("signalfd", "events/signalfd_pending", "files.img").only("\"SIGNALFD\""),
    golden("inotify", "events/inotify_masks", "files.img").only("\"INOTIFY\"").redact(&["f_handle"]),
    golden("fanotify_inode", "events/fanotify_marks", "files.img").only("\"FANOTIFY\"").redact(&["f_handle"]),
    golden("fanotify_mount", "events/fanotify_mounts", "files.img").only("\"FANOTIFY\"").redact(&["f_handle"]),
    golden("pidfd", "events/pidfd_relatives", "files.img").only("\"PIDFD\""),
    golden("memfd", "memfd/seals", "files.img").only("\"MEMFD\""),
    golden("memfd_inode", "memfd/seals", "memfd.img"),
    golden("bpfmap", "bpf/array", "files.img").only("\"BPFMAP\"").redact(&["memlock"]),
    golden("bpfmap_data", "bpf/array", "bpfmap-data"),
    golden("unix", "unix/datagrams", "files.img").part("/usk").only("\"state\":1,"),
    golden("unix_queue", "unix/datagrams", "sk-queues"),
    golden("unix_rights", "unix/descriptors", "sk-queues"),
    golden("tty", "terminals/queued_raw", "files.img").only("\"TTY\""),
    golden("tty_info", "terminals/session", "tty-info"),
    golden("tty_data", "terminals/queued_raw", "tty-data"),
    golden("ipc_var", "ipc/limits", "ipcns-var-"),
    golden("ipc_shm", "ipc/shm_attached", "ipcns-shm-"),
    golden("ipc_msg", "ipc/msg_order", "ipcns-msg-"),
    golden("ipc_sem", "ipc/sem_values", "ipcns-sem-"),
    golden("uts", "ipc/uts_names", "utsns-"),
    golden("pagemap_shmem", "files/lock_posix", "pagemap-shmem-"),
    golden("timens", "tree/single", "timens-").redact(TIME),
];

/// Numbers of run or machine that are the same where the same is meant: each becomes its place in the order of
/// appearance, in one series for each line. Zero, which means none, stays.
const NUMBERED: [(&str, &[&str]); 6] = [
    ("pid", &["pid", "ppid", "pgid", "sid", "pgrp", "nspid", "threads", "notify_thread_id"]),
    ("inode", &["ino", "i_ino", "inode", "pipe_id", "peer"]),
    ("device", &["dev", "s_dev"]),
    ("mount", &["mnt_id"]),
    ("map", &["map_id"]),
    ("shm", &["shmid"]),
];

/// What differs by machine in any kind.
const EVERYWHERE: [&str; 4] = ["so_sndbuf", "so_rcvbuf", "loginuid", "oom_score_adj"];

/// What has another form on another machine: not even its fields or its length are shown.
const WHOLE: [&str; 3] = ["xsave", "mm_saved_auxv", "vmas"];

fn main() -> ExitCode {
    let result = match env::var_os(VARIABLE) {
        Some(keep) => be_the_engine(Path::new(&keep)),
        None => test(),
    };
    result.unwrap_or_else(|e| {
        eprintln!("Error (golden): {e:#}");
        ExitCode::FAILURE
    })
}

fn test() -> anyhow::Result<ExitCode> {
    let args = Arguments::from_args();
    // Numbers of registers, flags of open and features of machines are those of one CPU.
    let ignored = if !nix::unistd::geteuid().is_root() {
        Some("dumping processes takes root")
    } else if env::consts::ARCH != "x86_64" {
        Some("the snapshots were made on x86_64")
    } else {
        None
    };
    let dir = tempfile::tempdir_in(stasis_tests::target()?)?;
    let mut missing = HashMap::new();
    if let Some(why) = ignored {
        eprintln!("the golden tests are ignored: {why}");
    } else if !args.list {
        missing = dump_all(dir.path())?;
    }
    let mut trials = Vec::new();
    for golden in &KINDS {
        let images = dir.path().join(place(golden.case));
        let lacks = missing.get(golden.case);
        if let Some(what) = lacks {
            eprintln!("{} is ignored: {what}", golden.kind);
        }
        let run = move || check(golden, &images).map_err(|e| Failed::from(format!("{e:#}")));
        trials.push(Trial::test(golden.kind, run).with_ignored_flag(ignored.is_some() || lacks.is_some()));
    }
    Ok(libtest_mimic::run(&args, trials).exit_code())
}

/// Where the images of a case are kept.
fn place(case: &str) -> String {
    case.replace('/', "-")
}

/// Runs the cases with this program as the engine, which keeps their images. Returns what the machine lacks for a case.
fn dump_all(dir: &Path) -> anyhow::Result<HashMap<String, String>> {
    let harness = stasis_tests::harness()?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    let engine = dir.join("engine");
    let me = env::current_exe()?;
    fs::write(&engine, format!("#!/bin/sh\n{VARIABLE}='{}' exec '{}' \"$@\"\n", dir.display(), me.display()))?;
    fs::set_permissions(&engine, fs::Permissions::from_mode(0o755))?;
    let cases: BTreeSet<&str> = KINDS.iter().map(|golden| golden.case).collect();
    let command = ["run", "--prebuilt", "--exact", "--jobs", "2", "--route", "once", "--engine"];
    let out = Command::new(&harness).args(command).arg(&engine).args(cases).stdin(Stdio::null()).output()?;
    // Whether a case passes is the suite's affair, here only its images count.
    print!("{}", String::from_utf8_lossy(&out.stdout));
    let out = Command::new(&harness).args(["list", "--json", "--prebuilt"]).output().context("failed to list cases")?;
    let list: Vec<Value> = serde_json::from_slice(&out.stdout)?;
    let lacks = |case: &Value| Some((case["name"].as_str()?.to_owned(), case["missing"].as_str()?.to_owned()));
    Ok(list.iter().filter_map(lacks).collect())
}

/// Keeps the images where this is the restore, and becomes the real engine.
fn be_the_engine(keep: &Path) -> anyhow::Result<ExitCode> {
    let real = stasis_tests::target()?.join("release/stasis");
    let args: Vec<String> = env::args().skip(1).collect();
    if args.first().is_some_and(|verb| verb == "restore") {
        let at = args.iter().position(|arg| arg == "-D").context("the harness names no directory")?;
        let dir = Path::new(args.get(at + 1).context("-D without a directory")?);
        // The harness calls the cell AREA-CASE.ROUTE or AREA-CASE.FLAVOUR.ROUTE.
        let cell = dir.parent().and_then(Path::file_name).context("the images lie in no cell")?.to_string_lossy();
        let keep = keep.join(cell.split('.').next().unwrap_or_default());
        fs::create_dir_all(&keep)?;
        for image in fs::read_dir(dir)? {
            let image = image?.path();
            if image.extension().is_some_and(|ending| ending == "img") {
                fs::copy(&image, keep.join(image.file_name().unwrap_or_default()))?;
            }
        }
    }
    Err(Command::new(&real).args(&args).exec()).with_context(|| format!("failed to execute {}", real.display()))
}

/// Compares what is a kind's in the images with its snapshot.
fn check(golden: &Golden, dir: &Path) -> anyhow::Result<()> {
    let entries = entries(golden, dir)?;
    ensure!(!entries.is_empty(), "{} has no {} in {}*", golden.case, golden.kind, golden.images);
    let mut series = HashMap::new();
    let entries = entries.iter().map(|entry| shown(None, entry, golden.redact, &mut series)).collect();
    let text = serde_json::to_string_pretty(&folded(entries))?;
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots/golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(format!("{}* of {}", golden.images, golden.case));
    settings.bind(|| insta::assert_snapshot!(golden.kind, text));
    Ok(())
}

/// The entries, or parts of them, in the order of the images' numbers.
fn entries(golden: &Golden, dir: &Path) -> anyhow::Result<Vec<Value>> {
    let mut images: Vec<PathBuf> = Vec::new();
    for image in fs::read_dir(dir).context("the case was not dumped")? {
        let image = image?;
        if image.file_name().as_encoded_bytes().starts_with(golden.images.as_bytes()) {
            images.push(image.path());
        }
    }
    images.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    let mut found = Vec::new();
    for image in images {
        let mut json = stasis::image::show_file(&image)?;
        for entry in json["entries"].as_array_mut().into_iter().flatten() {
            match entry.pointer_mut(golden.part).map(Value::take) {
                Some(Value::Array(parts)) => found.extend(parts),
                part => found.extend(part),
            }
        }
    }
    found.retain(|entry| entry.to_string().contains(golden.only));
    Ok(found)
}

/// A value as the snapshot has it.
fn shown(key: Option<&str>, value: &Value, redact: &[&str], series: &mut HashMap<&'static str, Vec<u64>>) -> Value {
    let named = |list: &[&str]| key.is_some_and(|key| list.contains(&key));
    let numbered = NUMBERED.iter().find(|(_, keys)| named(keys));
    match value {
        _ if named(redact) || named(&EVERYWHERE) || named(&WHOLE) => hidden(key.unwrap_or_default(), value),
        Value::Array(all) => folded(all.iter().map(|one| shown(key, one, redact, series)).collect()),
        Value::Object(fields) => {
            let show = |(key, value): (&String, &Value)| (key.clone(), shown(Some(key), value, redact, series));
            Value::Object(fields.iter().map(show).collect::<Map<_, _>>())
        }
        Value::String(text) => text_shown(text),
        Value::Number(number) => match (numbered, number.as_u64()) {
            (Some((name, _)), Some(number)) if number != 0 => {
                let seen = series.entry(name).or_default();
                let place = seen.iter().position(|one| *one == number).unwrap_or_else(|| {
                    seen.push(number);
                    seen.len() - 1
                });
                json!(format!("[{name} {}]", place + 1))
            }
            _ => value.clone(),
        },
        _ => value.clone(),
    }
}

/// A redacted value: of a message the fields' names stay, of a list its length, of a time that it is not set.
fn hidden(key: &str, value: &Value) -> Value {
    match value {
        _ if *value == 0 && TIME.contains(&key) => value.clone(),
        Value::Object(fields) if !WHOLE.contains(&key) => {
            Value::Object(fields.iter().map(|(key, value)| (key.clone(), hidden(key, value))).collect::<Map<_, _>>())
        }
        Value::Array(all) if !WHOLE.contains(&key) => json!(format!("[{key}; {}]", all.len())),
        _ => json!(format!("[{key}]")),
    }
}

/// A path without what differs by run, a short payload as it is, a long one by its length.
fn text_shown(text: &str) -> Value {
    const LONGEST: usize = 200;
    let clear = stasis::image::base64::decode(text).and_then(|bytes| String::from_utf8(bytes).ok());
    let clear = clear.filter(|clear| text.ends_with('\n') && clear.contains("/zdtm/run-"));
    let path = clear.as_deref().unwrap_or(text);
    match path.split_once("/zdtm/run-").and_then(|(_, rest)| rest.split_once('/')) {
        Some((_, rest)) => json!(format!("[run]/{rest}")),
        None if text.len() > LONGEST => json!(format!("{} characters", text.len())),
        None => json!(text),
    }
}

/// A list whose like neighbours are said once; of a long one of numbers only how many there are.
fn folded(all: Vec<Value>) -> Value {
    const LONGEST: usize = 20;
    if all.len() > LONGEST && all.iter().all(Value::is_number) {
        return json!(format!("{} numbers", all.len()));
    }
    let mut list: Vec<Value> = Vec::new();
    for like in all.chunk_by(|one, other| one == other) {
        list.extend(like.first().cloned());
        if like.len() > 1 {
            list.push(json!(format!("and {} more like it", like.len() - 1)));
        }
    }
    Value::Array(list)
}
