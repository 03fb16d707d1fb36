//! `cargo zdtm vm`: a shell, or one command, in a machine with everything in place.

use super::{Cancel, Lab, RunDir, TARGET};
use crate::cli::VmArgs;
use stasis_qemu::guest::Task;
use stasis_qemu::{Frame, Mode};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Where QEMU waits for a debugger.
const GDB_PORT: u16 = 1234;
/// A command of the user's has no time limit but this.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Boots a machine for the user.
pub fn run(args: &VmArgs) -> anyhow::Result<ExitCode> {
    let lab = Lab::prepare(&args.arch, args.kernel.as_deref(), args.prebuilt, true)?;
    if args.command.is_empty() {
        return shell(&lab, args.gdb);
    }
    let cancel = Cancel::listen()?;
    let dir = RunDir::make(&lab.paths)?;
    let arguments = ["bash", "-c", "exec 2>&1; eval \"$*\"", "-"].map(str::to_owned).into_iter();
    let task =
        Task::Run { arguments: arguments.chain(args.command.iter().cloned()).collect(), kept: PathBuf::from(TARGET) };
    let initrd = lab.write_initrd(task, &dir.0)?;
    let ended = command(&lab, &initrd, &dir.0, &cancel);
    if cancel.cancelled() {
        return Ok(ExitCode::from(130));
    }
    ended.map_err(|e| lab.keep_console(&dir.0, e))
}

fn command(lab: &Lab, initrd: &Path, dir: &Path, cancel: &Cancel) -> anyhow::Result<ExitCode> {
    let mut vm = lab.machine.boot(initrd, dir, |stopper| cancel.started(stopper))?;
    loop {
        match vm.next(LIMIT) {
            Ok(Frame::Line(line)) => println!("{line}"),
            Ok(Frame::Hello(_) | Frame::File(..)) => {}
            Ok(Frame::Error(what)) => return Err(vm.explain(&what)),
            Ok(Frame::End(code)) => return Ok(ExitCode::from(code.clamp(0, 255) as u8)),
            Err(ended) => return Err(vm.explain(&format!("the machine died: {ended}"))),
        }
    }
}

fn shell(lab: &Lab, gdb: bool) -> anyhow::Result<ExitCode> {
    let dir = RunDir::make(&lab.paths)?;
    let initrd = lab.write_initrd(Task::Shell, &dir.0)?;
    eprintln!("booting {} with Linux {}", lab.machine.recipe.name, lab.machine.release());
    if gdb {
        let program = lab.machine.built().join("stasis");
        eprintln!(
            "QEMU waits for a debugger; in another terminal, type\n    gdb-multiarch {} -ex 'target remote localhost:{GDB_PORT}' -ex continue",
            program.display()
        );
    }
    lab.machine.start(&initrd, Mode::Interactive { gdb: gdb.then_some(GDB_PORT) }, &dir.0)?.wait()?;
    Ok(ExitCode::SUCCESS)
}
