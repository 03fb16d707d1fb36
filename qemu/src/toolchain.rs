//! Compiler, standard library and linker for a machine's CPU.
//!
//! rustup's own library for the target is used where it is installed. Else Debian's build of Rust for its browsers
//! serves: `rustc-web`, of which the library exists for every architecture. The host's part comes from bookworm, as a
//! program that was linked there runs on what is newer; the libraries of the target are trixie's. Both are one version,
//! which rustc checks.

use crate::apt::{Apt, Package};
use crate::cache::Cache;
use crate::recipe::Recipe;
use crate::tool;
use anyhow::{Context as _, bail};
use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The host's target triple.
const HOST: &str = "x86_64-unknown-linux-gnu";
/// Where Debian's packages have shared libraries of the host.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
/// The suites of the host's part.
const SUITES: [&str; 2] = ["bookworm", "bookworm-security"];
/// The packages by the beginnings of their names that rustc needs of all it depends on; the C library is the host's.
const RUSTC_NEEDS: [&str; 16] = [
    "rustc-web",
    "libstd-rust-web",
    "libllvm",
    "libz3-",
    "libstdc++6",
    "libgcc-s1",
    "libffi",
    "libedit",
    "libtinfo",
    "libbsd",
    "libmd0",
    "libxml2",
    "libicu",
    "liblzma",
    "libzstd",
    "zlib1g",
];
/// Those that a cross compiler does without: the host's C library and what programs with sanitizers need.
const GCC_SPARES: [&str; 10] =
    ["libc6_", "libasan", "liblsan", "libtsan", "libubsan", "libhwasan", "libitm", "libgomp", "libatomic", "libcc1"];

/// What cargo needs to build for a machine.
pub struct Toolchain {
    /// In place of rustup's.
    rustc: Option<PathBuf>,
    /// In place of `cc`.
    linker: Option<PathBuf>,
    /// For what runs on the host: without the libraries of the fetched rustc.
    host_linker: Option<PathBuf>,
}

impl Toolchain {
    /// Fetches what the cache lacks.
    pub fn fetch(cache: &Cache, recipe: &Recipe) -> anyhow::Result<Toolchain> {
        let linker = if recipe.target == HOST {
            None
        } else {
            Some(cache.entry(&linker_entry(recipe), |dir| fetch_linker(cache, recipe, dir))?.join("cc"))
        };
        if installed(recipe)? {
            return Ok(Toolchain { rustc: None, linker, host_linker: None });
        }
        let rust = cache.entry("rust/host", |dir| fetch_rustc(cache, dir))?;
        let std = cache.entry(&std_entry(recipe), |dir| fetch_std(cache, recipe, &rust, dir))?;
        Ok(Toolchain { rustc: Some(std.join("rustc")), linker, host_linker: Some(rust.join("cc")) })
    }

    /// Whether nothing would have to be fetched.
    pub fn is_cached(cache: &Cache, recipe: &Recipe) -> anyhow::Result<bool> {
        let linker = recipe.target == HOST || cache.has(&linker_entry(recipe));
        Ok(linker && (installed(recipe)? || cache.has("rust/host") && cache.has(&std_entry(recipe))))
    }

    /// cargo with the environment for the target.
    pub fn cargo(&self, recipe: &Recipe, target_dir: &Path) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // Flags of the caller would win over the target's own.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"] {
            command.env_remove(name);
        }
        command.env("CARGO_BUILD_TARGET", &recipe.target).env("CARGO_TARGET_DIR", target_dir);
        command.env(recipe.cargo_variable("RUSTFLAGS"), "-C target-feature=+crt-static");
        if let Some(linker) = &self.linker {
            command.env(recipe.cargo_variable("LINKER"), linker);
            command.env(format!("CC_{}", recipe.target.replace('-', "_")), linker);
        }
        if let Some(rustc) = &self.rustc {
            command.env("RUSTC", rustc).env_remove("RUSTUP_TOOLCHAIN");
        }
        if let Some(linker) = &self.host_linker {
            command.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER", linker);
        }
        command
    }
}

fn linker_entry(recipe: &Recipe) -> String {
    format!("linker/{}", recipe.name)
}

fn std_entry(recipe: &Recipe) -> String {
    format!("rust/{}", recipe.name)
}

/// Whether the Rust that is installed has the target.
fn installed(recipe: &Recipe) -> anyhow::Result<bool> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = tool::lines(Command::new(rustc).args(["--print", "sysroot"]))?;
    let sysroot = sysroot.first().context("rustc names no sysroot")?;
    Ok(Path::new(sysroot).join("lib/rustlib").join(&recipe.target).join("lib").is_dir())
}

fn fetch_rustc(cache: &Cache, dir: &Path) -> anyhow::Result<()> {
    let apt = Apt::new(cache, "amd64", &SUITES)?;
    let mut packages = apt.closure(&["rustc-web"])?;
    packages.retain(|p| RUSTC_NEEDS.iter().any(|n| p.name.starts_with(n)));
    apt.unpack("a Rust compiler for other CPUs", &packages, dir)?;
    fs::write(dir.join("version"), find(&packages, "rustc-web")?.upstream())?;
    script(&dir.join("cc"), "unset LD_LIBRARY_PATH\nexec cc \"$@\"")
}

fn fetch_std(cache: &Cache, recipe: &Recipe, rust: &Path, dir: &Path) -> anyhow::Result<()> {
    let version = fs::read_to_string(rust.join("version"))?;
    let apt = Apt::new(cache, &recipe.debian, &["trixie"])?;
    let packages = apt.exactly(&["libstd-rust-web-dev"])?;
    let theirs = find(&packages, "libstd-rust-web-dev")?.upstream();
    if theirs != version {
        bail!(
            "Debian's Rust is {version} in bookworm and {theirs} in trixie at the moment; \
             `rustup target add {}` serves as well",
            recipe.target
        );
    }
    apt.unpack(&format!("Rust's standard library for {}", recipe.name), &packages, dir)?;
    // A sysroot of the target's library and the host's, which build scripts and macros need.
    let host = Path::new("usr/lib/rustlib").join(HOST);
    symlink(rust.join(&host), dir.join(&host))?;
    let libraries = rust.join(LIBRARIES);
    let text = format!(
        "export LD_LIBRARY_PATH='{}'\nexec '{}' --sysroot \"$(dirname \"$0\")/usr\" \"$@\"",
        libraries.display(),
        rust.join("usr/bin/rustc").display()
    );
    script(&dir.join("rustc"), &text)
}

fn fetch_linker(cache: &Cache, recipe: &Recipe, dir: &Path) -> anyhow::Result<()> {
    let apt = Apt::new(cache, "amd64", &SUITES)?;
    let (gcc, libc) = (format!("gcc-{}", recipe.gnu), format!("libc6-dev-{}-cross", recipe.debian));
    let mut packages = apt.closure(&[&gcc, &libc])?;
    packages.retain(|p| !GCC_SPARES.iter().any(|n| format!("{}_", p.name).starts_with(n)));
    apt.unpack(&format!("a linker for {}", recipe.name), &packages, dir)?;
    // gcc and binutils find their files from where they lie.
    let text = format!(
        "here=$(dirname \"$0\")\nexport LD_LIBRARY_PATH=\"$here/{LIBRARIES}\"\nexport PATH=\"$here/usr/bin:$PATH\"\n\
         exec \"$here/usr/bin/{}-gcc\" \"$@\"",
        recipe.gnu
    );
    script(&dir.join("cc"), &text)
}

fn find<'a>(packages: &'a [Package], name: &str) -> anyhow::Result<&'a Package> {
    packages.iter().find(|p| p.name == name).with_context(|| format!("apt-get names no package {name}"))
}

fn script(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, format!("#!/bin/sh\n{text}\n"))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("failed to make {} executable", path.display()))
}
