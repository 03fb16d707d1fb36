//! Machines of other CPUs and kernels for the suite: what they need is fetched into a cache, the suite is cross-built
//! for them, QEMU boots them without root, and a report comes back.
//!
//! Nothing is installed and the system's apt state is not touched. [`guest`] is the side that runs in the machine: the
//! same program is the harness here and the first process there.

mod apt;
mod cache;
mod emulator;
pub mod guest;
mod initramfs;
mod kernel;
mod kvm;
mod modules;
mod recipe;
mod tool;
mod toolchain;
mod transport;
mod userland;
mod vm;

pub use cache::Cache;
pub use initramfs::Payload;
pub use recipe::{Boot, Emulated, Kernel, Recipe};
pub use transport::Frame;
pub use vm::{CONSOLE, Ended, Mode, Stopper, Vm};

use std::path::{Path, PathBuf};
use std::process::Command;

/// A machine with everything it needs in the cache.
pub struct Machine {
    /// What it is.
    pub recipe: Recipe,
    /// The kernel's two numbers.
    pub version: String,
    cache: Cache,
    kernel: kernel::Files,
    emulator: emulator::Emulator,
    userland: PathBuf,
    toolchain: toolchain::Toolchain,
}

impl Machine {
    /// Fetches what the cache lacks of a machine; without a version its default kernel. What is fetched is said.
    pub fn prepare(cache: &Cache, name: &str, version: Option<&str>) -> anyhow::Result<Machine> {
        let recipe = Recipe::load(name)?;
        let kernel = recipe.kernel(version)?;
        tool::check_host()?;
        let toolchain = toolchain::Toolchain::fetch(cache, &recipe)?;
        let files = kernel::Files::fetch(cache, &recipe, kernel)?;
        let userland = userland::fetch(cache, &recipe)?;
        let emulator = emulator::Emulator::find(cache, &recipe)?;
        let version = kernel.version.clone();
        Ok(Machine { recipe, version, cache: cache.clone(), kernel: files, emulator, userland, toolchain })
    }

    /// Whether nothing would have to be fetched.
    pub fn is_cached(cache: &Cache, name: &str, version: Option<&str>) -> anyhow::Result<bool> {
        let recipe = Recipe::load(name)?;
        let kernel = recipe.kernel(version)?;
        Ok(toolchain::Toolchain::is_cached(cache, &recipe)?
            && kernel::Files::is_cached(cache, &recipe, kernel)
            && userland::is_cached(cache, &recipe)
            && emulator::Emulator::is_cached(cache, &recipe))
    }

    /// A short name, `s390x-6.12`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.recipe.name, self.version)
    }

    /// The kernel's full version.
    pub fn release(&self) -> &str {
        &self.kernel.release
    }

    /// cargo as it builds for the machine, statically; subcommand and arguments are the caller's.
    pub fn cargo(&self) -> Command {
        self.toolchain.cargo(&self.recipe, &self.target_dir())
    }

    /// Where [`Machine::cargo`] leaves a release build's programs.
    pub fn built(&self) -> PathBuf {
        self.target_dir().join(&self.recipe.target).join("release")
    }

    fn target_dir(&self) -> PathBuf {
        self.cache.path(&format!("build/{}", self.recipe.name))
    }

    /// Writes the initial file system: userland, modules, the payload.
    pub fn write_initrd(&self, payload: &Payload, to: &Path) -> anyhow::Result<()> {
        let modules = modules::collect(&self.kernel.modules, &self.recipe.modules)?;
        for name in &modules.missing {
            eprintln!("qemu: Linux {} has no module {name}", self.kernel.release);
        }
        initramfs::write(&self.userland, &modules.loadable, payload, to)
    }

    /// Starts QEMU. `dir` is for the console's log.
    pub fn start(&self, initrd: &Path, mode: Mode, dir: &Path) -> anyhow::Result<Vm> {
        Vm::start(&self.recipe, &self.emulator, &self.kernel, initrd, mode, dir)
    }

    /// Starts QEMU without a terminal and waits until user space is reached. `started` gets what can end it meanwhile.
    pub fn boot(&self, initrd: &Path, dir: &Path, mut started: impl FnMut(Stopper)) -> anyhow::Result<Vm> {
        if kvm::worth_trying(&self.cache, &self.recipe) {
            let mut vm = self.start(initrd, Mode::Kvm, dir)?;
            started(vm.stopper());
            match vm.next(kvm::LIMIT) {
                Ok(Frame::Hello(_)) => return Ok(vm),
                // Emulation shows whether it was KVM's fault.
                _ => kvm::remember_failure(&self.cache)?,
            }
        }
        let mut vm = self.start(initrd, Mode::Batch, dir)?;
        started(vm.stopper());
        match vm.next(self.recipe.boot_limit()) {
            Ok(Frame::Hello(_)) => Ok(vm),
            Ok(other) => Err(vm.explain(&format!("the machine said {other:?} first"))),
            Err(ended) => Err(vm.explain(&format!("the machine did not boot: {ended}"))),
        }
    }
}
