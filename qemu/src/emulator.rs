//! QEMU: the machine's own where it is new enough, else Debian's, unpacked with all its libraries.

use crate::apt::Apt;
use crate::cache::Cache;
use crate::recipe::Recipe;
use crate::tool;
use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest version that the recipes were tried with.
const OLDEST: (u32, u32) = (10, 0);
/// Where Debian has the dynamic linker and the libraries.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// A QEMU that runs.
pub struct Emulator {
    program: PathBuf,
    /// Where it was unpacked; none for the machine's own.
    prefix: Option<PathBuf>,
}

impl Emulator {
    /// The QEMU for a machine; fetched where there is none.
    pub fn find(cache: &Cache, recipe: &Recipe) -> anyhow::Result<Emulator> {
        if let Some(program) = own(recipe) {
            return Ok(Emulator { program, prefix: None });
        }
        let dir = cache.entry(&entry(recipe), |dir| {
            let apt = Apt::new(cache, "amd64", &["trixie"])?;
            apt.unpack(&recipe.qemu.program, &apt.closure(&[&recipe.qemu.package])?, dir)
        })?;
        let emulator = Emulator { program: dir.join("usr/bin").join(&recipe.qemu.program), prefix: Some(dir) };
        let version = tool::lines(emulator.command().arg("--version")).with_context(|| {
            format!("the fetched QEMU does not run here; apt-get install {} serves as well", recipe.qemu.package)
        })?;
        if version.first().and_then(|l| parse_version(l)).is_none_or(|v| v < OLDEST) {
            bail!("{} is too old", version.join(" "));
        }
        Ok(emulator)
    }

    /// Whether nothing would have to be fetched.
    pub fn is_cached(cache: &Cache, recipe: &Recipe) -> bool {
        cache.has(&entry(recipe)) || own(recipe).is_some()
    }

    /// QEMU with where it finds its files; the machine is the caller's.
    pub fn command(&self) -> Command {
        let Some(prefix) = &self.prefix else { return dying_with_us(&self.program) };
        // By its own dynamic linker, so that the host's C library does not matter.
        let libraries = prefix.join(LIBRARIES);
        let mut command = dying_with_us(&libraries.join("ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(&libraries).arg(&self.program);
        for firmware in ["usr/share/qemu", "usr/share/seabios"] {
            command.arg("-L").arg(prefix.join(firmware));
        }
        command.env("QEMU_MODULE_DIR", libraries.join("qemu")).env_remove("LD_LIBRARY_PATH").env_remove("LD_PRELOAD");
        command
    }
}

fn entry(recipe: &Recipe) -> String {
    format!("qemu/{}", recipe.name)
}

fn own(recipe: &Recipe) -> Option<PathBuf> {
    let program = tool::find(&recipe.qemu.program)?;
    let said = tool::lines(Command::new(&program).arg("--version")).ok()?;
    (parse_version(said.first()?)? >= OLDEST).then_some(program)
}

/// The two numbers of `QEMU emulator version 10.0.13 (…)`.
fn parse_version(line: &str) -> Option<(u32, u32)> {
    let mut numbers = line.split_once("version ")?.1.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// A command for a program that dies with this process, where setpriv (of util-linux) is there.
fn dying_with_us(program: &Path) -> Command {
    let Some(setpriv) = tool::find("setpriv") else { return Command::new(program) };
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(parse_version("QEMU emulator version 10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)"), Some((10, 0)));
        assert!(parse_version("QEMU emulator version 7.2.1").unwrap() < OLDEST);
        assert_eq!(parse_version("something else"), None);
    }
}
