//! The execution domain of each thread: another machine name, an old kernel's version, addresses that are not random,
//! and reading that implies executing, which no mapping made before may come to do.
use crate::gate::{Gate, Verdict, check_eq, fail};
use crate::tools_creds::must_call;
use crate::tools_threads::{Setup, each_thread};

const PER_LINUX32: i32 = 8;

/// The domain, and the machine and the version that it makes uname tell.
fn observe() -> Verdict<(i64, String, bool)> {
    let domain = must_call(libc::SYS_personality, [0xffff_ffff, 0, 0])?;
    let names = nix::sys::utsname::uname()?;
    let text = |name: &std::ffi::OsStr| name.to_string_lossy().into_owned();
    Ok((domain, text(names.machine()), text(names.release()).starts_with("2.6.")))
}

/// The protection of the stack of this thread.
fn stack_protection() -> Verdict<String> {
    let here = 0u8;
    let at = std::hint::black_box(&raw const here) as usize;
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let found = maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        (number(start)?..number(end)?).contains(&at).then(|| rest[..4].to_owned())
    });
    found.map_or_else(|| fail("no mapping holds the stack"), Ok)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let domains = [
        libc::ADDR_NO_RANDOMIZE,
        libc::UNAME26,
        PER_LINUX32,
        libc::READ_IMPLIES_EXEC,
        libc::STICKY_TIMEOUTS | libc::ADDR_COMPAT_LAYOUT,
    ];
    let setup = |domain: i32| -> Setup {
        Box::new(move || must_call(libc::SYS_personality, [i64::from(domain), 0, 0]).map(drop))
    };
    let protected = || {
        check_eq("the protection of the stack", stack_protection()?.as_str(), "rw-p")?;
        observe()
    };
    each_thread(gate, domains.into_iter().map(setup).collect(), protected)
}
