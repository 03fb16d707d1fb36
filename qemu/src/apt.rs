//! Debian packages without the system's apt state: lists, downloads and unpacked files live in the cache.
//!
//! A state knows one architecture and the suites that are asked for, so that a name has one meaning in it. Mirror and
//! proxies are the machine's own.

use crate::cache::{Cache, size};
use crate::tool;
use anyhow::{Context as _, bail};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How old the lists may be before they are fetched again.
const FRESH: Duration = Duration::from_secs(6 * 3600);
/// Roughly what the lists of one suite and architecture weigh, for the message.
const LIST_SIZE: u64 = 10_000_000;
/// The variable that names a mirror.
const MIRROR: &str = "STASIS_QEMU_MIRROR";

/// A private apt state.
pub struct Apt {
    dir: PathBuf,
    arch: String,
    suites: Vec<String>,
    cache: Cache,
}

/// A package that can be downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Without version and architecture.
    pub name: String,
    /// Debian's version.
    pub version: String,
    /// Bytes.
    pub size: u64,
    /// `all`, or the state's.
    arch: String,
}

impl Apt {
    /// A state for an architecture and suites; its lists are fetched where they are missing or old.
    pub fn new(cache: &Cache, arch: &str, suites: &[&str]) -> anyhow::Result<Apt> {
        let dir = cache.path(&format!("apt/{}-{arch}", suites[0]));
        let suites = suites.iter().map(|s| (*s).to_owned()).collect();
        let apt = Apt { dir, arch: arch.to_owned(), suites, cache: cache.clone() };
        apt.configure()?;
        if !apt.fresh() {
            apt.update()?;
        }
        Ok(apt)
    }

    fn configure(&self) -> anyhow::Result<()> {
        for dir in ["etc/apt.conf.d", "etc/preferences.d", "etc/sources.list.d", "lists/partial", "archives/partial"] {
            let dir = self.dir.join(dir);
            fs::create_dir_all(&dir).with_context(|| format!("failed to make {}", dir.display()))?;
        }
        let (dir, arch) = (self.dir.display(), &self.arch);
        let mut text = format!(
            "Dir \"{dir}/\";\nDir::State \"{dir}\";\nDir::State::status \"{dir}/status\";\nDir::State::Lists \"{dir}/lists\";\n\
             Dir::Cache \"{dir}\";\nDir::Etc \"etc\";\nDir::Etc::trustedparts \"/etc/apt/trusted.gpg.d\";\n\
             Dir::Log \"{dir}\";\nAPT::Architecture \"{arch}\";\nAPT::Architectures {{ \"{arch}\"; }};\n\
             APT::Install-Recommends \"false\";\nAPT::Sandbox::User \"\";\nAcquire::Languages \"none\";\n\
             Acquire::GzipIndexes \"true\";\nAcquire::Retries \"3\";\n"
        );
        let proxies = tool::lines(Command::new("apt-config").args(["dump", "Acquire"])).unwrap_or_default();
        for line in proxies.iter().filter(|l| l.contains("::Proxy")) {
            writeln!(text, "{line}")?;
        }
        fs::write(self.dir.join("apt.conf"), text)?;
        fs::write(self.dir.join("status"), "")?;
        fs::write(self.dir.join("etc/sources.list"), self.sources()?)?;
        Ok(())
    }

    fn sources(&self) -> anyhow::Result<String> {
        let keyrings = ["gpg", "pgp"].map(|end| format!("/usr/share/keyrings/debian-archive-keyring.{end}"));
        let keyring = keyrings
            .iter()
            .find(|k| Path::new(k).exists())
            .context("there are no keys of Debian's archive: apt-get install debian-archive-keyring")?;
        let (main, security) = mirrors();
        let mut text = String::new();
        for suite in &self.suites {
            let mirror = if suite.ends_with("-security") { &security } else { &main };
            // A mirror's copy of sid may be older than its signature allows.
            let old = if suite == "sid" { " check-valid-until=no" } else { "" };
            writeln!(text, "deb [arch={} signed-by={keyring}{old}] {mirror} {suite} main", self.arch)?;
        }
        Ok(text)
    }

    fn fresh(&self) -> bool {
        let stamp = fs::metadata(self.dir.join("updated")).and_then(|m| m.modified()).ok();
        stamp.and_then(|s| s.elapsed().ok()).is_some_and(|age| age < FRESH)
    }

    fn update(&self) -> anyhow::Result<()> {
        let about = size(LIST_SIZE * self.suites.len() as u64);
        eprintln!("qemu: fetching the package lists of {} ({}), at most {about}", self.suites.join(", "), self.arch);
        // Without the option a list that cannot be fetched is a warning.
        tool::output(self.command("apt-get").args(["-qq", "-o", "APT::Update::Error-Mode=any", "update"]))
            .context("failed to fetch Debian's package lists; is the network there?")?;
        fs::write(self.dir.join("updated"), "")?;
        Ok(())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", self.dir.join("apt.conf")).env("LC_ALL", "C");
        command
    }

    /// The packages and all that they depend on.
    pub fn closure(&self, names: &[&str]) -> anyhow::Result<Vec<Package>> {
        let args = ["-qq", "--print-uris", "-o", "Debug::NoLocking=1", "install"];
        parse_uris(&tool::lines(self.command("apt-get").args(args).args(names))?)
    }

    /// The packages alone.
    pub fn exactly(&self, names: &[&str]) -> anyhow::Result<Vec<Package>> {
        parse_uris(&tool::lines(self.command("apt-get").args(["-qq", "--print-uris", "download"]).args(names))?)
    }

    /// The names of all packages that begin so.
    pub fn names(&self, prefix: &str) -> anyhow::Result<Vec<String>> {
        tool::lines(self.command("apt-cache").args(["pkgnames", prefix]))
    }

    /// Downloads packages and unpacks them into a directory; says what and how large.
    pub fn unpack(&self, what: &str, packages: &[Package], into: &Path) -> anyhow::Result<()> {
        let total: u64 = packages.iter().map(|p| p.size).sum();
        let suites = self.suites.join(", ");
        eprintln!("qemu: fetching {what}: {} packages of {suites}, {}", packages.len(), size(total));
        self.cache.check_space(total * 6)?;
        let debs = into.join(".debs");
        if debs.exists() {
            // Of an attempt that failed.
            fs::remove_dir_all(&debs)?;
        }
        fs::create_dir_all(&debs)?;
        let names = packages.iter().map(|p| format!("{}:{}={}", p.name, p.arch_for(&self.arch), p.version));
        // apt checks sizes and hashes.
        tool::output(self.command("apt-get").current_dir(&debs).args(["-qq", "download"]).args(names))
            .with_context(|| format!("failed to fetch {what}"))?;
        for entry in fs::read_dir(&debs)? {
            tool::output(Command::new("dpkg-deb").arg("-x").arg(entry?.path()).arg(into))
                .with_context(|| format!("failed to unpack {what}"))?;
        }
        fs::remove_dir_all(&debs)?;
        Ok(())
    }
}

impl Package {
    /// The architecture by which apt finds the package.
    fn arch_for<'a>(&'a self, native: &'a str) -> &'a str {
        if self.arch == "all" { native } else { &self.arch }
    }

    /// The version of what is packaged: without epoch and what Debian appended.
    pub fn upstream(&self) -> &str {
        let version = self.version.split_once(':').map_or(self.version.as_str(), |(_, v)| v);
        version.split(['+', '-', '~']).next().unwrap_or(version)
    }
}

/// Parses what `--print-uris` prints: `'URI' NAME_VERSION_ARCH.deb SIZE HASH`.
fn parse_uris(lines: &[String]) -> anyhow::Result<Vec<Package>> {
    let parse = |line: &String| {
        let mut words = line.split_whitespace().skip(1);
        let mut parts = words.next()?.strip_suffix(".deb")?.split('_');
        let size = words.next()?.parse().ok()?;
        let (name, version, arch) =
            (parts.next()?.to_owned(), parts.next()?.replace("%3a", ":"), parts.next()?.to_owned());
        Some(Package { name, version, size, arch })
    };
    let packages: Vec<Package> = lines
        .iter()
        .filter(|l| l.starts_with('\''))
        .map(|l| parse(l).with_context(|| format!("apt-get said `{l}`")))
        .collect::<Result<_, _>>()?;
    if packages.is_empty() {
        bail!("apt-get names no package");
    }
    Ok(packages)
}

/// The mirrors of Debian and of its security suites that this machine uses.
fn mirrors() -> (String, String) {
    let default = |path: &str| format!("http://deb.debian.org/{path}");
    if let Ok(mirror) = std::env::var(MIRROR) {
        let security = format!("{}-security", mirror.trim_end_matches('/'));
        return (mirror, security);
    }
    let args = ["indextargets", "--format", "$(REPO_URI)", "Identifier: Packages", "Component: main", "Origin: Debian"];
    let uris = tool::lines(Command::new("apt-get").args(args)).unwrap_or_default();
    let find = |security: bool| {
        let ours = |u: &&String| u.contains("security") == security && u.trim_end_matches('/').contains("/debian");
        uris.iter().find(ours).map(|u| u.trim_end_matches('/').to_owned())
    };
    (find(false).unwrap_or_else(|| default("debian")), find(true).unwrap_or_else(|| default("debian-security")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_parsed() {
        let lines = [
            "'http://m/pool/q_1%3a10.0_amd64.deb' q-x_1%3a10.0.13+ds-0+deb13u1_amd64.deb 8166556 SHA256:00".to_owned(),
            "Reading".to_owned(),
            "'http://m/pool/base.deb' base_13.8_all.deb 7 ".to_owned(),
        ];
        let all = parse_uris(&lines).unwrap();
        assert_eq!((all[0].name.as_str(), all[0].version.as_str()), ("q-x", "1:10.0.13+ds-0+deb13u1"));
        assert_eq!((all[0].upstream(), all[0].size, all[0].arch_for("arm64")), ("10.0.13", 8_166_556, "amd64"));
        assert_eq!(all[1].arch_for("arm64"), "arm64");
        assert!(parse_uris(&[]).is_err());
        assert!(parse_uris(&["'http://m' nonsense".to_owned()]).is_err());
    }
}
