//! A running QEMU: its command line, its console, its report, its end.

use crate::emulator::Emulator;
use crate::guest::PORT;
use crate::kernel::Files;
use crate::recipe::Recipe;
use crate::tool;
use crate::transport::Frame;
use anyhow::{Context as _, bail};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How many lines of the console explain a failure.
const LAST_LINES: usize = 40;
/// The console's log in the directory of a run.
pub const CONSOLE: &str = "console.log";
/// Bytes of the disk of a run.
const DISK_SIZE: u64 = 16 << 30;

/// How a machine is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Without a terminal, by emulation.
    Batch,
    /// Without a terminal, by the host's CPU.
    Kvm,
    /// The console on the terminal.
    Interactive {
        /// QEMU waits for a debugger on this port.
        gdb: Option<u16>,
    },
}

/// Why a machine sends nothing more.
#[derive(Debug)]
pub enum Ended {
    /// Nothing came in time.
    Silent(Duration),
    /// QEMU ended, or what it sent made no sense.
    Gone(String),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Silent(time) => write!(f, "nothing came from it for {} s", time.as_secs()),
            Ended::Gone(why) => f.write_str(why),
        }
    }
}

/// A running QEMU, which ends with this.
pub struct Vm {
    child: Arc<Mutex<Child>>,
    frames: Receiver<anyhow::Result<Frame>>,
    console: Option<JoinHandle<()>>,
    last: Arc<Mutex<VecDeque<String>>>,
}

/// Ends a machine from another thread.
#[derive(Clone)]
pub struct Stopper(Arc<Mutex<Child>>);

impl Stopper {
    /// Ends QEMU.
    pub fn stop(&self) {
        // An error: it has ended.
        let _killed = lock(&self.0).kill();
    }
}

impl Vm {
    /// Starts QEMU; the console's log goes to `dir`.
    pub(crate) fn start(
        recipe: &Recipe,
        emulator: &Emulator,
        kernel: &Files,
        initrd: &Path,
        mode: Mode,
        dir: &Path,
    ) -> anyhow::Result<Vm> {
        let mut command = emulator.command();
        machine(&mut command, recipe, mode);
        console(&mut command, recipe, mode);
        disk(&mut command, &dir.join("disk"))?;
        let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC).context("failed to make a pipe")?;
        let report = format!("file,id=report,path=/proc/self/fd/{}", write.as_raw_fd());
        command.args(["-device", "virtio-serial", "-chardev", &report]);
        command.args(["-device", &format!("virtserialport,chardev=report,name={PORT}")]);
        command.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(initrd);
        // panic=-1: a panic ends QEMU. oops=panic: so does what would leave a half dead kernel.
        let quiet = if matches!(mode, Mode::Interactive { gdb: Some(_) }) { "nokaslr" } else { "quiet" };
        let line = format!("console={} {quiet} panic=-1 oops=panic rdinit=/init", recipe.qemu.console);
        command.args(["-append", &line]);
        if !matches!(mode, Mode::Interactive { .. }) {
            // Out of the terminal's foreground group: Ctrl-C comes to us, and we end QEMU.
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        }
        let mut child = spawn(command, &write)?;
        drop(write);
        let log = dir.join(CONSOLE);
        let last = Arc::<Mutex<VecDeque<String>>>::default();
        let console = match (child.stdout.take(), child.stderr.take()) {
            (Some(out), Some(err)) => {
                let file = File::create(&log).with_context(|| format!("failed to make {}", log.display()))?;
                let (said, mut copy) = (last.clone(), file.try_clone()?);
                thread::spawn(move || keep_lines(BufReader::new(err), &mut copy, &said));
                let (said, mut file) = (last.clone(), file);
                Some(thread::spawn(move || keep_lines(BufReader::new(out), &mut file, &said)))
            }
            _ => None,
        };
        Ok(Vm { child: Arc::new(Mutex::new(child)), frames: receive(read), console, last })
    }

    /// The next frame, for which it waits so long.
    pub fn next(&mut self, limit: Duration) -> Result<Frame, Ended> {
        match self.frames.recv_timeout(limit) {
            Ok(Ok(frame)) => Ok(frame),
            Ok(Err(e)) => Err(Ended::Gone(format!("{e:#}"))),
            Err(RecvTimeoutError::Timeout) => Err(Ended::Silent(limit)),
            Err(RecvTimeoutError::Disconnected) => {
                let status = lock(&self.child).wait().map_or_else(|e| e.to_string(), |s| s.to_string());
                if let Some(console) = self.console.take() {
                    // It ends with QEMU's output.
                    let _joined = console.join();
                }
                Err(Ended::Gone(format!("QEMU ended ({status})")))
            }
        }
    }

    /// Ends the machine from another thread.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.child.clone())
    }

    /// Waits until QEMU ends by itself, which the user at its terminal decides.
    pub fn wait(self) -> anyhow::Result<()> {
        let status = lock(&self.child).wait().context("failed to wait for QEMU")?;
        if !status.success() {
            bail!("QEMU failed ({status})");
        }
        Ok(())
    }

    /// An error with the console's last lines.
    pub fn explain(&self, what: &str) -> anyhow::Error {
        // A panic's lines come after the report's end.
        thread::sleep(Duration::from_millis(300));
        let last: Vec<String> = lock(&self.last).iter().map(|line| format!("  {line}")).collect();
        anyhow::anyhow!("{what}; the console's last lines:\n{}", last.join("\n"))
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        let mut child = lock(&self.child);
        // An error: it has ended.
        let _killed = child.kill();
        let _collected = child.wait();
    }
}

fn machine(command: &mut Command, recipe: &Recipe, mode: Mode) {
    command.args(&recipe.qemu.machine);
    match mode {
        Mode::Kvm => command.args(["-accel", "kvm", "-cpu", "host"]),
        Mode::Batch | Mode::Interactive { .. } => command.args(["-accel", "tcg,thread=multi"]),
    };
    if let Mode::Interactive { gdb: Some(port) } = mode {
        command.args(["-S", "-gdb", &format!("tcp:127.0.0.1:{port}")]);
    }
    command.args(["-smp", &recipe.cpus.to_string(), "-m", &recipe.memory.to_string()]);
    command.args(["-display", "none", "-nodefaults", "-no-reboot", "-net", "none"]);
}

fn console(command: &mut Command, recipe: &Recipe, mode: Mode) {
    if matches!(mode, Mode::Interactive { .. }) {
        command.args(["-chardev", "stdio,id=console,signal=off,mux=on", "-mon", "chardev=console"]);
    } else {
        command.args(["-chardev", "stdio,id=console,signal=off", "-monitor", "none"]);
    }
    command.args(&recipe.qemu.serial);
}

/// Adds an empty disk, of which only what is written takes space.
fn disk(command: &mut Command, path: &Path) -> anyhow::Result<()> {
    let make = || File::create(path)?.set_len(DISK_SIZE);
    make().with_context(|| format!("failed to make {}", path.display()))?;
    let path = path.to_str().with_context(|| format!("{} is no text", path.display()))?.replace(',', ",,");
    let drive = format!("if=none,id=disk,format=raw,cache=unsafe,discard=unmap,file={path}");
    command.args(["-drive", &drive, "-device", "virtio-blk,drive=disk"]);
    Ok(())
}

/// Starts QEMU with one descriptor more than it would inherit.
fn spawn(mut command: Command, inherited: &OwnedFd) -> anyhow::Result<Child> {
    fcntl(inherited, FcntlArg::F_SETFD(FdFlag::empty())).context("failed to let QEMU inherit a pipe")?;
    command.spawn().map_err(|e| tool::start_error("QEMU", e))
}

/// Reads frames until the end of the stream.
fn receive(from: OwnedFd) -> Receiver<anyhow::Result<Frame>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut from = BufReader::new(File::from(from));
        while let Some(frame) = Frame::read(&mut from).transpose() {
            let failed = frame.is_err();
            if sender.send(frame).is_err() || failed {
                break;
            }
        }
    });
    receiver
}

/// Copies lines into the log and keeps the last.
fn keep_lines(mut from: impl std::io::BufRead, log: &mut File, last: &Mutex<VecDeque<String>>) {
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        // A full disk shows elsewhere; the last lines are kept here.
        let _written = writeln!(log, "{text}");
        let mut last = lock(last);
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(text);
        line.clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
