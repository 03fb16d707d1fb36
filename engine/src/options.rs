//! What a caller may ask of the engine: the typed options of dump, restore, check and cpuinfo.
//!
//! The command line and the RPC fill these in; nothing here knows of either. An option whose objects are not built yet
//! has no field here (the table of the command line names it and refuses it); a *form* of a built option that is not
//! built yet (`--external mnt[…]`) parses and is refused by `validate`, so that no caller can have it ignored.

mod progress;
mod values;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Pid;

pub use progress::{NoProgress, Progress, ProgressSink};
pub use values::{
    ByteSize, CpuCap, External, FdNumber, FileValidation, InheritFd, InheritKey, ManageCgroups, NetworkLock,
    OptionError, Verbosity,
};

/// How long freezing the tree may take when `--timeout` is not given.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest deleted file that is copied into the images when `--ghost-limit` is not given.
pub const DEFAULT_GHOST_LIMIT: ByteSize = ByteSize::new(1 << 20);

/// Where the engine's messages go, and which of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// `-o`: the log file, relative to the work directory; standard error when absent.
    pub file: Option<PathBuf>,
    /// `--log-pid`: what concerns one task goes to `FILE.PID` instead of `FILE`.
    pub per_task: bool,
    /// `-v`: how much is said.
    pub verbosity: Verbosity,
}

/// What dump and restore have in common.
#[derive(Debug, Clone)]
pub struct CommonOptions {
    /// `-D`: the directory of the images; the current directory by default.
    pub images_dir: PathBuf,
    /// `-W`: where logs, pid files and statistics go; the images directory when absent. See [`CommonOptions::work_dir`].
    pub work_dir: Option<PathBuf>,
    /// `-o`, `-v`, `--log-pid`.
    pub log: LogOptions,
    /// `--display-stats`: the statistics are also printed at the end.
    pub display_stats: bool,
    /// `--pidfile`: the root task's pid as a decimal number, written after a restore; relative to the work directory.
    pub pidfile: Option<PathBuf>,
    /// `--timeout`: how long freezing may take. Never zero.
    pub timeout: Duration,
    /// `--action-script`: programs run at each stage, in the order given.
    pub action_scripts: Vec<PathBuf>,
    /// `--status-fd`: receives one NUL byte when the engine is ready, then is closed.
    pub status_fd: Option<FdNumber>,
    /// `--close`: descriptors that the command closes before it does anything else.
    pub close_fds: Vec<FdNumber>,
    /// `-j`: the session leader or the terminal may lie outside the tree.
    pub shell_job: bool,
    /// `-l`: file locks may be held; without it a held lock fails the dump.
    pub file_locks: bool,
    /// `--evasive-devices`: a device may be opened by another path when its own is gone.
    pub evasive_devices: bool,
    /// `-x`: a datagram socket may be connected to one outside of the tree; it is connected by name again.
    pub ext_unix_sk: bool,
    /// `--external`: objects that are not dumped but supplied again.
    pub external: Vec<External>,
    /// `--cpu-cap`: what of the CPU must be there again when the images are restored. When absent it is the default of
    /// [`CpuCap`], and a restore takes images that do not tell of their CPU. With [`CpuCap::NONE`] a dump does not tell.
    pub cpu_cap: Option<CpuCap>,
    /// `--network-lock`: how traffic is held; without effect until sockets are built.
    pub network_lock: NetworkLock,
    /// `--tcp-established`; without effect until sockets are built (a socket fails the dump).
    pub tcp_established: bool,
    /// `--tcp-close`; as `tcp_established`.
    pub tcp_close: bool,
    /// `--manage-cgroups`: only [`ManageCgroups::None`] and [`ManageCgroups::Ignore`] are built.
    pub manage_cgroups: ManageCgroups,
    /// Hears of the bytes written or read; says nothing by default.
    pub progress: ProgressSink,
}

impl Default for CommonOptions {
    fn default() -> Self {
        CommonOptions {
            images_dir: PathBuf::from("."),
            work_dir: None,
            log: LogOptions::default(),
            display_stats: false,
            pidfile: None,
            timeout: DEFAULT_TIMEOUT,
            action_scripts: Vec::new(),
            status_fd: None,
            close_fds: Vec::new(),
            shell_job: false,
            file_locks: false,
            evasive_devices: false,
            ext_unix_sk: false,
            external: Vec::new(),
            cpu_cap: None,
            network_lock: NetworkLock::default(),
            tcp_established: false,
            tcp_close: false,
            manage_cgroups: ManageCgroups::default(),
            progress: ProgressSink::default(),
        }
    }
}

impl CommonOptions {
    /// The directory of logs, pid files and statistics.
    pub fn work_dir(&self) -> &Path {
        self.work_dir.as_deref().unwrap_or(&self.images_dir)
    }

    /// `path` as seen from the work directory; an absolute path stays as it is.
    pub fn in_work_dir(&self, path: &Path) -> PathBuf {
        self.work_dir().join(path)
    }

    /// Refuses every form of an option that is not built yet, and values without a meaning.
    pub fn validate(&self) -> Result<(), OptionError> {
        if self.timeout.is_zero() {
            return Err(OptionError::bad("--timeout", "0", "a whole number of seconds of at least 1"));
        }
        if !matches!(self.manage_cgroups, ManageCgroups::None | ManageCgroups::Ignore) {
            return Err(OptionError::not_built(format!("--manage-cgroups={}", self.manage_cgroups)));
        }
        match self.external.iter().find(|e| !e.built()) {
            Some(external) => Err(OptionError::not_built(format!("--external {external}"))),
            None => Ok(()),
        }
    }
}

/// What becomes of the tree when it has been dumped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AfterDump {
    /// The tree is killed.
    #[default]
    Kill,
    /// `-s`: it is left stopped, as by SIGSTOP.
    Stop,
    /// `-R`: it runs on.
    Run,
}

/// What `dump` is to do.
#[derive(Debug, Clone)]
pub struct DumpOptions {
    /// What dump and restore share.
    pub common: CommonOptions,
    /// `-t`: the root of the tree, in the caller's pid namespace; positive.
    pub pid: Pid,
    /// `-s`, `-R`: what becomes of the tree.
    pub after: AfterDump,
    /// `--link-remap`: a deleted name of a file that has others gets a new name instead of a copy.
    pub link_remap: bool,
    /// `--ghost-limit`: the largest deleted file that is copied into the images, in bytes of content.
    pub ghost_limit: ByteSize,
    /// `--ghost-fiemap`: holes of deleted files are found by FIEMAP instead of SEEK_HOLE.
    pub ghost_fiemap: bool,
    /// `--file-validation`: what of each file is recorded for restore to compare.
    pub file_validation: FileValidation,
    /// `--force-irmap`: names of watched inodes are looked for in any case.
    pub force_irmap: bool,
    /// `--skip-in-flight`: half-open connections are left out; without effect until sockets are built.
    pub skip_in_flight: bool,
    /// `--freeze-cgroup`: the cgroup whose freezer holds the tree, as a directory of the mounted hierarchy.
    pub freeze_cgroup: Option<PathBuf>,
    /// `--sync`: every image is durable before success is reported and before the tree is killed.
    pub sync: bool,
}

impl DumpOptions {
    /// A dump of the tree at `pid` with every option at its default: images in the current directory, tree killed.
    pub fn new(pid: Pid) -> Self {
        DumpOptions {
            common: CommonOptions::default(),
            pid,
            after: AfterDump::default(),
            link_remap: false,
            ghost_limit: DEFAULT_GHOST_LIMIT,
            ghost_fiemap: false,
            file_validation: FileValidation::default(),
            force_irmap: false,
            skip_in_flight: false,
            freeze_cgroup: None,
            sync: false,
        }
    }

    /// Refuses what is not built yet and what contradicts itself.
    pub fn validate(&self) -> Result<(), OptionError> {
        if self.pid.as_raw() <= 0 {
            return Err(OptionError::bad("--tree", self.pid.to_string(), "a pid: a positive number"));
        }
        self.common.validate()
    }
}

/// What `restore` is to do.
#[derive(Debug, Clone, Default)]
pub struct RestoreOptions {
    /// What dump and restore share.
    pub common: CommonOptions,
    /// `-d`: return when the tree runs; else wait for its root and pass its exit status on.
    pub detached: bool,
    /// `-S`: the root becomes a sibling of the engine. Needs `detached`.
    pub sibling: bool,
    /// `-s`: the tree is left stopped, as by SIGSTOP.
    pub leave_stopped: bool,
    /// `--exec-cmd`: the program and its arguments that become the tree's parent. Excludes `detached`.
    pub exec_cmd: Option<Vec<OsString>>,
    /// `-r`: the directory that becomes the tree's root directory.
    pub root: Option<PathBuf>,
    /// `--inherit-fd`: descriptors of the caller that take the place of objects of the images.
    pub inherit_fds: Vec<InheritFd>,
    /// `--file-validation`: what is compared of each file, where the images recorded it.
    pub file_validation: FileValidation,
    /// `--skip-file-rwx-check`: the permission bits of files may differ from those at dump.
    pub skip_file_rwx_check: bool,
    /// `--weak-sysctls`: an absent sysctl is no error; without effect until namespaces are built.
    pub weak_sysctls: bool,
}

impl RestoreOptions {
    /// Refuses what is not built yet and what contradicts itself.
    pub fn validate(&self) -> Result<(), OptionError> {
        if self.sibling && !self.detached {
            return Err(OptionError::conflict("--restore-sibling only makes sense with --restore-detached"));
        }
        match &self.exec_cmd {
            Some(_) if self.detached => {
                return Err(OptionError::conflict("--exec-cmd and --restore-detached exclude each other"));
            }
            Some(command) if command.is_empty() => {
                return Err(OptionError::conflict("--exec-cmd needs a command after `--`"));
            }
            _ => {}
        }
        self.common.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_directory_is_the_images_directory_unless_given() {
        let mut common = CommonOptions { images_dir: "/img".into(), ..CommonOptions::default() };
        assert_eq!(common.in_work_dir(Path::new("a.log")), Path::new("/img/a.log"));
        common.work_dir = Some("/logs".into());
        assert_eq!(common.in_work_dir(Path::new("a.log")), Path::new("/logs/a.log"));
        assert_eq!(common.in_work_dir(Path::new("/var/a.log")), Path::new("/var/a.log"));
    }

    #[test]
    fn contradictions_and_unbuilt_forms_are_refused() {
        let mut restore = RestoreOptions { sibling: true, ..RestoreOptions::default() };
        assert!(restore.validate().is_err());
        restore.detached = true;
        assert!(restore.validate().is_ok());
        restore.exec_cmd = Some(vec!["true".into()]);
        assert!(restore.validate().is_err());

        let mut dump = DumpOptions::new(Pid::from_raw(0));
        assert!(dump.validate().is_err());
        dump.pid = Pid::from_raw(7);
        assert!(dump.validate().is_ok());
        dump.common.manage_cgroups = ManageCgroups::Soft;
        assert!(dump.validate().is_err_and(|e| e.to_string().contains("--manage-cgroups=soft")));
        dump.common.manage_cgroups = ManageCgroups::None;
        dump.common.external = vec!["mnt[/a]:b".parse().expect("a form that is known")];
        assert!(dump.validate().is_err_and(|e| e.to_string().contains("mnt[/a]:b")));
    }
}
