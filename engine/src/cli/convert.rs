//! From the parsed command line to the engine's typed options.

use std::time::Duration;

use nix::unistd::Pid;

use super::CliError;
use super::parse::Parsed;
use super::progress::TerminalProgress;
use crate::options::{
    AfterDump, CommonOptions, DEFAULT_GHOST_LIMIT, DEFAULT_TIMEOUT, DumpOptions, FdNumber, LogOptions, ProgressSink,
    RestoreOptions, Verbosity,
};

/// What all commands share.
pub fn common(parsed: &Parsed) -> Result<CommonOptions, CliError> {
    let timeout = match parsed.text("timeout")? {
        Some(text) => Duration::from_secs(number(text, "--timeout", "a number of seconds")?),
        None => DEFAULT_TIMEOUT,
    };
    let log = LogOptions {
        file: parsed.path("log-file"),
        per_task: parsed.flag("log-pid"),
        verbosity: parsed.verbosity()?.map_or_else(Verbosity::default, Verbosity::new),
    };
    let common = CommonOptions {
        images_dir: parsed.path("images-dir").unwrap_or_else(|| ".".into()),
        work_dir: parsed.path("work-dir"),
        log,
        display_stats: parsed.flag("display-stats"),
        pidfile: parsed.path("pidfile"),
        timeout,
        action_scripts: parsed.raw_values("action-script").into_iter().map(Into::into).collect(),
        status_fd: parsed.value("status-fd")?,
        close_fds: parsed.values::<FdNumber>("close")?,
        shell_job: parsed.flag("shell-job"),
        file_locks: parsed.flag("file-locks"),
        evasive_devices: parsed.flag("evasive-devices"),
        ext_unix_sk: parsed.flag("ext-unix-sk"),
        external: parsed.values("external")?,
        cpu_cap: parsed.value("cpu-cap")?,
        network_lock: parsed.value("network-lock")?.unwrap_or_default(),
        tcp_established: parsed.flag("tcp-established"),
        tcp_close: parsed.flag("tcp-close"),
        manage_cgroups: parsed.value("manage-cgroups")?.unwrap_or_default(),
        progress: ProgressSink::new(TerminalProgress::default()),
    };
    common.validate()?;
    Ok(common)
}

/// `--tree`.
pub fn root(parsed: &Parsed) -> Result<Option<Pid>, CliError> {
    let text = parsed.text("tree")?;
    text.map(|text| number(text, "--tree", "a pid").map(Pid::from_raw)).transpose()
}

/// What `dump` is to do.
pub fn dump(parsed: &Parsed, common: CommonOptions) -> Result<DumpOptions, CliError> {
    let missing = || CliError::usage("`dump` needs the root of the tree").with_help("add `--tree PID`");
    let root = root(parsed)?.ok_or_else(missing)?;
    // Reading pages of the frozen tree is all that modes could mean, and ours has one.
    if let Some(mode) = parsed.text("pre-dump-mode")?.filter(|m| *m != "splice") {
        return Err(CliError::not_built(&format!("--pre-dump-mode={mode}")));
    }
    let after = match (parsed.flag("leave-running"), parsed.flag("leave-stopped")) {
        (true, _) => AfterDump::Run,
        (false, true) => AfterDump::Stop,
        (false, false) => AfterDump::Kill,
    };
    let options = DumpOptions {
        common,
        pid: root,
        after,
        link_remap: parsed.flag("link-remap"),
        ghost_limit: parsed.value("ghost-limit")?.unwrap_or(DEFAULT_GHOST_LIMIT),
        ghost_fiemap: parsed.flag("ghost-fiemap"),
        file_validation: parsed.value("file-validation")?.unwrap_or_default(),
        force_irmap: parsed.flag("force-irmap"),
        skip_in_flight: parsed.flag("skip-in-flight"),
        freeze_cgroup: parsed.path("freeze-cgroup"),
        sync: parsed.flag("sync"),
    };
    options.validate()?;
    Ok(options)
}

/// What `restore` is to do.
pub fn restore(parsed: &Parsed, common: CommonOptions) -> Result<RestoreOptions, CliError> {
    let exec_cmd = match (parsed.flag("exec-cmd"), parsed.trailing.is_empty()) {
        (true, _) => Some(parsed.trailing.clone()),
        (false, true) => None,
        (false, false) => return Err(CliError::usage("a command after `--` needs --exec-cmd")),
    };
    let options = RestoreOptions {
        common,
        detached: parsed.flag("restore-detached"),
        sibling: parsed.flag("restore-sibling"),
        leave_stopped: parsed.flag("leave-stopped"),
        exec_cmd,
        root: parsed.path("root"),
        inherit_fds: parsed.values("inherit-fd")?,
        file_validation: parsed.value("file-validation")?.unwrap_or_default(),
        skip_file_rwx_check: parsed.flag("skip-file-rwx-check"),
        weak_sysctls: parsed.flag("weak-sysctls"),
    };
    options.validate()?;
    Ok(options)
}

/// `--fault-at`, which no help names: the step that is to fail in a test.
pub fn arm_fault(parsed: &Parsed) -> Result<(), CliError> {
    if let Some(text) = parsed.text("fault-at")? {
        crate::fault::arm(number(text, "--fault-at", "a number of at least 1")?);
    }
    Ok(())
}

/// `--close`: descriptors that the caller left open and that must not be in the way.
pub fn close_descriptors(common: &CommonOptions) -> Result<(), CliError> {
    for fd in &common.close_fds {
        if fd.get() <= 2 {
            return Err(CliError::usage(format!("--close {fd} would close a standard stream")));
        }
        nix::unistd::close(fd.get()).map_err(|e| CliError::of("cli", &e).with_help(format!("--close {fd}")))?;
    }
    Ok(())
}

fn number<T: std::str::FromStr>(text: &str, option: &'static str, expected: &str) -> Result<T, CliError> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let parsed = if digits { text.parse().ok() } else { None };
    parsed.ok_or_else(|| CliError::usage(format!("`{text}` is no value of {option}: expected {expected}")))
}
