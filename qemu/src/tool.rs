//! Programs of the host: run, with errors that say what failed and what to install.

use anyhow::{Context as _, bail};
use std::io;
use std::process::{Command, Stdio};

/// The packages of the programs that may be missing.
const PACKAGES: [(&str, &str); 7] = [
    ("apt-cache", "apt"),
    ("apt-get", "apt"),
    ("cc", "gcc libc6-dev"),
    ("dpkg-deb", "dpkg"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
    ("cargo", "cargo (or rustup, https://rustup.rs)"),
];

/// Runs a program and returns what it printed; its errors are in ours.
pub fn output(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let name = name(command);
    let out = command.stdin(Stdio::null()).output().map_err(|e| start_error(&name, e))?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        bail!("{name} failed ({}): {}", out.status, tail(&said));
    }
    Ok(out.stdout)
}

/// As [`output`], as lines of text.
pub fn lines(command: &mut Command) -> anyhow::Result<Vec<String>> {
    let out = output(command)?;
    Ok(String::from_utf8_lossy(&out).lines().map(str::to_owned).collect())
}

/// Feeds a program and returns what it printed.
pub fn filter(command: &mut Command, input: std::fs::File) -> anyhow::Result<Vec<u8>> {
    let name = name(command);
    let out = command.stdin(input).output().map_err(|e| start_error(&name, e))?;
    if !out.status.success() {
        bail!("{name} failed ({}): {}", out.status, tail(&String::from_utf8_lossy(&out.stderr)));
    }
    Ok(out.stdout)
}

/// Why a program could not be started, and the package that has it.
pub fn start_error(name: &str, e: io::Error) -> anyhow::Error {
    let program = name.split(' ').next().unwrap_or(name);
    let package = PACKAGES.iter().find(|(p, _)| *p == program).map(|(_, package)| *package);
    let context = match package.filter(|_| e.kind() == io::ErrorKind::NotFound) {
        Some(package) => format!("{program} is not installed: apt-get install {package}"),
        None => format!("failed to start {program}"),
    };
    anyhow::Error::new(e).context(context)
}

fn name(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let program = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match command.get_args().find(|a| !a.as_encoded_bytes().starts_with(b"-")) {
        Some(verb) => format!("{program} {}", verb.to_string_lossy()),
        None => program,
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(4)..].join("; ")
}

/// The first program of this name in PATH.
pub fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|p| p.is_file())
}

/// The host's architecture as Debian calls it; what is fetched for the host is for amd64.
pub fn check_host() -> anyhow::Result<()> {
    let host = lines(Command::new("dpkg").arg("--print-architecture")).context("this takes a Debian-like machine")?;
    if host.first().map(String::as_str) != Some("amd64") {
        bail!("compilers and QEMU are fetched for amd64 machines only; this one is {}", host.join(" "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_what_to_install() {
        let e = start_error("xz", io::ErrorKind::NotFound.into());
        assert_eq!(e.to_string(), "xz is not installed: apt-get install xz-utils");
        let e = output(Command::new("sh").args(["-c", "echo one >&2; echo two >&2; exit 3"])).unwrap_err();
        assert!(e.to_string().ends_with("(exit status: 3): one; two"), "{e}");
        assert!(output(&mut Command::new("no-such-program")).unwrap_err().to_string().contains("no-such-program"));
    }
}
