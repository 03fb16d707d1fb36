//! What /proc says of a task's memory: its areas, their flags, their sizes.

use crate::gate::{Verdict, check, fail};
use crate::tools_memory::{Area, page};
use nix::errno::Errno;
use nix::unistd::Pid;
use std::collections::BTreeMap;

/// A line of /proc/PID/maps; the device and inode are left out: a scratch directory may have been copied.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// The first address.
    pub start: usize,
    /// The address after the last.
    pub end: usize,
    /// As in `rw-p`.
    pub prot: String,
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// Path or name in brackets; empty for anonymous memory.
    pub name: String,
}

/// The areas of a task (`self` or a pid), equal neighbours merged.
pub fn maps(task: &str) -> Verdict<Vec<Map>> {
    let mut all: Vec<Map> = Vec::new();
    for line in std::fs::read_to_string(format!("/proc/{task}/maps"))?.lines() {
        let map = parse_map(line)?;
        match all.last_mut() {
            Some(last) if continues(last, &map) => last.end = map.end,
            _ => all.push(map),
        }
    }
    Ok(all)
}

fn parse_map(line: &str) -> Verdict<Map> {
    let mut rest = line;
    let mut next = || {
        let (field, tail) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = tail;
        field
    };
    let (range, prot, offset) = (next(), next(), next());
    let (_device, _inode) = (next(), next());
    let (start, end) = range.split_once('-').unwrap_or_default();
    Ok(Map {
        start: usize::from_str_radix(start, 16)?,
        end: usize::from_str_radix(end, 16)?,
        prot: prot.to_owned(),
        offset: u64::from_str_radix(offset, 16)?,
        name: rest.trim_start().to_owned(),
    })
}

fn continues(last: &Map, next: &Map) -> bool {
    let same = last.end == next.start && last.prot == next.prot && last.name == next.name;
    let anonymous = next.name.is_empty() || next.name.starts_with('[');
    same && (anonymous || last.offset + (last.end - last.start) as u64 == next.offset)
}

/// The line of this process's maps that holds an address.
pub fn map_of(address: usize) -> Verdict<Map> {
    match maps("self")?.into_iter().find(|m| (m.start..m.end).contains(&address)) {
        Some(map) => Ok(map),
        None => fail(format!("{address:#x} is not mapped")),
    }
}

/// The fields that /proc/self/smaps gives for the area that holds an address.
pub fn smaps_of(address: usize) -> Verdict<BTreeMap<String, String>> {
    let text = std::fs::read_to_string("/proc/self/smaps")?;
    let mut fields = None;
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':').filter(|(n, _)| !n.contains(' ')) else {
            if fields.is_some() {
                break;
            }
            let map = parse_map(line)?;
            fields = (map.start..map.end).contains(&address).then(BTreeMap::new);
            continue;
        };
        if let Some(fields) = &mut fields {
            fields.insert(name.to_owned(), value.trim().to_owned());
        }
    }
    fields.map_or_else(|| fail(format!("{address:#x} is not in smaps")), Ok)
}

/// The two-letter flags of the area that holds an address (VmFlags), without `sd`, which only says that pages were
/// written since somebody last looked.
pub fn vm_flags(address: usize) -> Verdict<Vec<String>> {
    let flags = smaps_of(address)?.remove("VmFlags").unwrap_or_default();
    Ok(flags.split_whitespace().filter(|f| *f != "sd").map(str::to_owned).collect())
}

/// How the area that holds an address is locked: `lo` for locked, `lf` where its pages are locked as they come in. Some
/// kernels have no letters for the latter: what they show for an area that is locked so counts for it.
pub fn locks(address: usize) -> Verdict<Vec<String>> {
    let known = Area::private(1)?;
    // SAFETY: locks memory of our own.
    Errno::result(unsafe { libc::syscall(libc::SYS_mlock2, known.at(0), page(), libc::MLOCK_ONFAULT) })?;
    let shown = if vm_flags(known.at(0))?.contains(&"lf".to_owned()) { "lf" } else { "??" };
    let letters = |flag: String| match flag.as_str() {
        "lo" => Some("lo".to_owned()),
        flag if flag == shown => Some("lf".to_owned()),
        _ => None,
    };
    Ok(vm_flags(address)?.into_iter().filter_map(letters).collect())
}

/// A figure of smaps or of status (`N kB`), in KiB.
pub fn kib(field: &str) -> Verdict<u64> {
    Ok(field.trim_end_matches("kB").trim().parse()?)
}

/// The proportional set size of a task, in KiB, without pages of files: whoever else runs this program shares these, and
/// comes and goes.
pub fn pss(task: &str) -> Verdict<u64> {
    let text = std::fs::read_to_string(format!("/proc/{task}/smaps_rollup"))?;
    let figure = |name: &str| match text.lines().find_map(|line| line.strip_prefix(name)) {
        Some(value) => kib(value),
        None => fail(format!("/proc/{task}/smaps_rollup has no {name}")),
    };
    Ok(figure("Pss:")?.saturating_sub(figure("Pss_File:")?))
}

/// The proportional set size of this process and of some relatives together, in KiB.
pub fn total_pss(relatives: &[Pid]) -> Verdict<u64> {
    relatives.iter().try_fold(pss("self")?, |sum, relative| Ok(sum + pss(&relative.to_string())?))
}

/// Fails where what relatives use together has grown by more than a tenth: pages that they shared became copies.
pub fn check_sharing(before: u64, after: u64) -> Verdict {
    check(
        &format!("memory use at most a tenth more: {before} KiB before, {after} after"),
        after <= before + before / 10,
    )
}

/// The vDSO's code and its data pages, in the order of their addresses.
pub fn kernel_areas() -> Verdict<Vec<Map>> {
    Ok(maps("self")?.into_iter().filter(|m| m.name == "[vdso]" || m.name.starts_with("[vvar")).collect())
}

/// Lets the kernel make huge pages on demand. The limit is never lowered: another run may count on it, and it costs
/// nothing by itself.
pub fn allow_huge_pages() -> Verdict {
    const LIMIT: &str = "/proc/sys/vm/nr_overcommit_hugepages";
    const ENOUGH: u64 = 16;
    if std::fs::read_to_string(LIMIT)?.trim().parse::<u64>()? < ENOUGH {
        std::fs::write(LIMIT, ENOUGH.to_string())?;
    }
    Ok(())
}

/// A line of /proc/meminfo.
pub fn meminfo(name: &str) -> Verdict<String> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    Ok(text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default().trim().to_owned())
}
