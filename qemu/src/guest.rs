//! The side of a machine: the first process, which prepares the system, does the job, sends back what came of it and
//! powers off.

use crate::transport::Frame;
use anyhow::{Context as _, bail};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, wait};
use nix::time::{ClockId, clock_gettime, clock_settime};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The first process's program.
pub const INIT: &str = "/init";
/// The job's file.
pub const JOB: &str = "/stasis/job.json";
/// The modules' directory.
pub const MODULES: &str = "/stasis/modules";
/// The report's port, as QEMU and the machine know it.
pub const PORT: &str = "stasis.report";

/// What a machine is to do.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Job {
    /// The host's name in the machine.
    pub hostname: String,
    /// Files of modules, in the order in which they are loaded.
    pub modules: Vec<String>,
    /// Where the disk of the run is mounted, with a new file system: one in memory lacks much that cases ask for.
    pub disk: PathBuf,
    /// The environment of the task.
    pub environment: BTreeMap<String, String>,
    /// Seconds since 1970, for machines without a clock.
    pub now: i64,
    /// The task itself.
    pub task: Task,
}

/// The task of a job.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub enum Task {
    /// A shell on the console.
    #[default]
    Shell,
    /// A program whose lines on its standard output are sent, and which is the end of the machine.
    Run {
        /// The program and its arguments.
        arguments: Vec<String>,
        /// What is kept of failures: where a line is JSON and has the member `kept`, a directory below this one, the
        /// files of that directory are sent before the line.
        kept: PathBuf,
    },
}

/// What is mounted where: type, place, flags, options.
const MOUNTS: [(&str, &str, MsFlags, Option<&str>); 8] = [
    ("proc", "/proc", MsFlags::empty(), None),
    ("sysfs", "/sys", MsFlags::empty(), None),
    ("devtmpfs", "/dev", MsFlags::empty(), None),
    ("devpts", "/dev/pts", MsFlags::empty(), Some("ptmxmode=666,mode=620,gid=5")),
    ("tmpfs", "/dev/shm", MsFlags::empty(), Some("mode=1777")),
    ("tmpfs", "/tmp", MsFlags::empty(), Some("mode=1777")),
    ("tmpfs", "/run", MsFlags::empty(), Some("mode=755")),
    ("cgroup2", "/sys/fs/cgroup", MsFlags::empty(), None),
];

/// Whether this process is the first one of a machine.
pub fn is_init() -> bool {
    std::process::id() == 1 && std::env::args_os().next().is_some_and(|name| name == INIT)
}

/// What the first process does. It powers the machine off at the end.
pub fn init() -> ! {
    let mut port = None;
    let code = match work(&mut port) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("init: {e:#}");
            if let Some(port) = &mut port {
                send(port, &Frame::Error(format!("{e:#}")));
            }
            125
        }
    };
    if let Some(port) = &mut port {
        send(port, &Frame::End(code));
    }
    nix::unistd::sync();
    loop {
        // It returns only where it failed.
        let Err(e) = reboot(RebootMode::RB_POWER_OFF);
        eprintln!("init: failed to power off: {e}");
        thread::sleep(Duration::from_secs(60));
    }
}

fn work(port: &mut Option<File>) -> anyhow::Result<i32> {
    for (kind, place, flags, options) in MOUNTS {
        fs::create_dir_all(place).with_context(|| format!("failed to make {place}"))?;
        mount(Some(kind), place, Some(kind), flags, options).with_context(|| format!("failed to mount {place}"))?;
    }
    let job: Job = serde_json::from_slice(&fs::read(JOB).context("failed to read the job")?).context("the job")?;
    prepare(&job)?;
    match &job.task {
        Task::Shell => shell(&job),
        Task::Run { arguments, kept } => {
            let port = port.insert(open_port()?);
            let release = fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned();
            send(port, &Frame::Hello(release));
            run(&job, arguments, kept, port)
        }
    }
}

/// What goes wrong here is said on the console; cases that need it will say so too.
fn prepare(job: &Job) -> anyhow::Result<()> {
    let clock = clock_gettime(ClockId::CLOCK_REALTIME)?;
    if clock.tv_sec() < job.now {
        clock_settime(ClockId::CLOCK_REALTIME, nix::sys::time::TimeSpec::new(job.now, 0))
            .context("failed to set the clock")?;
    }
    nix::unistd::sethostname(&job.hostname).context("failed to set the host's name")?;
    // As systemd leaves it to services.
    setrlimit(Resource::RLIMIT_NOFILE, 1024, 524_288).context("failed to set the limit of descriptors")?;
    for path in &job.modules {
        let file = File::open(path).with_context(|| format!("failed to open {path}"))?;
        if let Err(e) = nix::kmod::finit_module(&file, c"", nix::kmod::ModuleInitFlags::empty()) {
            eprintln!("init: failed to load {path}: {e}");
        }
    }
    mount_disk(&job.disk)?;
    match Command::new("/usr/sbin/ip").args(["link", "set", "lo", "up"]).status() {
        Ok(status) if status.success() => {}
        other => eprintln!("init: the loopback device is not up: {other:?}"),
    }
    Ok(())
}

fn mount_disk(place: &Path) -> anyhow::Result<()> {
    const DISK: &str = "/dev/vda";
    let mut command = Command::new("/usr/sbin/mke2fs");
    // The journal would only cost time.
    command.args(["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard", DISK]);
    crate::tool::output(&mut command).context("failed to make a file system")?;
    fs::create_dir_all(place).with_context(|| format!("failed to make {}", place.display()))?;
    mount(Some(DISK), place, Some("ext4"), MsFlags::empty(), None::<&str>)
        .with_context(|| format!("failed to mount {}", place.display()))
}

fn send(port: &mut File, frame: &Frame) {
    if let Err(e) = frame.write(port) {
        eprintln!("init: failed to report: {e}");
    }
}

/// The report's port. udev, which would give it its name below /dev, does not run here.
fn open_port() -> anyhow::Result<File> {
    let class = Path::new("/sys/class/virtio-ports");
    for entry in fs::read_dir(class).context("the machine has no ports")? {
        let name = entry?.file_name();
        if fs::read_to_string(class.join(&name).join("name")).is_ok_and(|n| n.trim() == PORT) {
            let path = Path::new("/dev").join(&name);
            return File::options()
                .write(true)
                .open(&path)
                .with_context(|| format!("failed to open {}", path.display()));
        }
    }
    bail!("the machine has no port {PORT}")
}

/// Runs the task's program to its end. This process also waits for every orphan, as the first process must.
fn run(job: &Job, arguments: &[String], kept: &Path, port: &mut File) -> anyhow::Result<i32> {
    let (program, rest) = arguments.split_first().context("the job names no program")?;
    let mut command = Command::new(program);
    let mut child = command
        .args(rest)
        .envs(&job.environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start {program}"))?;
    let out = child.stdout.take().context("the program has no output")?;
    let pid = Pid::from_raw(child.id().cast_signed());
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || {
        // The receiver lives until the machine ends.
        let _sent = sender.send(reap(pid));
    });
    let mut sent = BTreeSet::new();
    for line in BufReader::new(out).split(b'\n') {
        let line = String::from_utf8_lossy(&line.context("failed to read what the program prints")?).into_owned();
        if let Some(dir) = kept_below(&line, kept)
            && sent.insert(dir.clone())
        {
            send_files(&dir, kept, port)?;
        }
        send(port, &Frame::Line(line));
    }
    ended.recv().context("the reaper ended")?
}

/// Waits for all children until the one; then ends what is left, which could keep its output open.
fn reap(pid: Pid) -> anyhow::Result<i32> {
    let code = loop {
        match wait().context("failed to wait for a process")? {
            WaitStatus::Exited(who, code) if who == pid => break code,
            WaitStatus::Signaled(who, signal, _) if who == pid => break 128 + signal as i32,
            _ => {}
        }
    };
    // ESRCH: nobody is left.
    let _killed = kill(Pid::from_raw(-1), Signal::SIGKILL);
    Ok(code)
}

/// The directory that a line says was kept, where it is one below `root`.
fn kept_below(line: &str, root: &Path) -> Option<PathBuf> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    let object = value.as_object()?;
    let inside = object.values().filter_map(|v| v.get("kept")).chain(object.get("kept")).find_map(|k| k.as_str())?;
    let dir = PathBuf::from(inside);
    dir.starts_with(root).then_some(dir)
}

fn send_files(dir: &Path, root: &Path, port: &mut File) -> anyhow::Result<()> {
    let mut next = vec![dir.to_owned()];
    while let Some(dir) = next.pop() {
        for entry in fs::read_dir(&dir).with_context(|| format!("failed to list {}", dir.display()))? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                next.push(entry.path());
            } else if kind.is_file() {
                let path = entry.path();
                let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
                match fs::read(&path) {
                    Ok(data) => send(port, &Frame::File(name, data)),
                    Err(e) => eprintln!("init: failed to read {}: {e}", path.display()),
                }
            }
        }
    }
    Ok(())
}

/// A shell on the console; its end is the machine's.
fn shell(job: &Job) -> anyhow::Result<i32> {
    let active = fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
    let tty = active.split_whitespace().last().map(|name| Path::new("/dev").join(name)).filter(|p| p.exists());
    // /dev/console is never a controlling terminal; without one there is no Ctrl-C.
    let tty = tty.unwrap_or_else(|| "/dev/console".into());
    let open = || {
        File::options().read(true).write(true).open(&tty).with_context(|| format!("failed to open {}", tty.display()))
    };
    let mut out = open()?;
    writeln!(
        out,
        "\nstasis, zdtm and zdtm-cases are in PATH. `exit` or Ctrl-D ends the machine; Ctrl-A x ends QEMU.\n"
    )?;
    let child = Command::new("setsid")
        .args(["--ctty", "--wait", "bash", "-l"])
        .envs(&job.environment)
        .current_dir("/root")
        .stdin(open()?)
        .stdout(open()?)
        .stderr(open()?)
        .spawn()
        .context("failed to start a shell")?;
    reap(Pid::from_raw(child.id().cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_name_what_was_kept() {
        let root = Path::new("/k");
        assert_eq!(
            kept_below(r#"{"result": {"case": "a/b", "kept": "/k/a-b.once"}}"#, root).unwrap(),
            Path::new("/k/a-b.once")
        );
        for other in ["", "pass a/b", r#"{"result": {"kept": null}}"#, r#"{"kept": "/etc"}"#, "[1]", "{}"] {
            assert!(kept_below(other, root).is_none(), "{other}");
        }
    }
}
