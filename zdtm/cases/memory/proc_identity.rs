//! Command line, environment, auxiliary vector, executable, name and the addresses in /proc/self/stat are the same.
use crate::gate::{Gate, Verdict, check_eq, fail};
use std::fs;

/// Fields 26-28 and 45-51 of stat(5): code, stack start, data, break start, arguments, environment.
fn addresses() -> Verdict<Vec<u64>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let Some((_, rest)) = stat.rsplit_once(") ") else { return fail("stat has no name") };
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // The first field after the name is the third.
    (26..=28).chain(45..=51).map(|n: usize| Ok(fields[n - 3].parse()?)).collect()
}

pub fn run(gate: &mut Gate) -> Verdict {
    let read = || -> Verdict<_> {
        let contents: Vec<Vec<u8>> = ["cmdline", "environ", "auxv", "comm"]
            .iter()
            .map(|f| fs::read(format!("/proc/self/{f}")))
            .collect::<Result<_, _>>()?;
        Ok((contents, fs::read_link("/proc/self/exe")?, addresses()?))
    };
    // SAFETY: the name outlives the call.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"na) me\t1".as_ptr()) };
    let before = read()?;
    gate.checkpoint()?;
    let after = read()?;
    for (what, (is, was)) in ["cmdline", "environ", "auxv", "comm"].iter().zip(after.0.iter().zip(&before.0)) {
        check_eq(what, is, was)?;
    }
    check_eq("comm", after.0[3].as_slice(), b"na) me\t1\n".as_slice())?;
    check_eq("exe", after.1, before.1)?;
    check_eq("the addresses in stat", after.2, before.2)
}
