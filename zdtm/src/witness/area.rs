//! A process's memory areas, equal neighbours merged: how the kernel splits an area is no property of the process.

use super::identity::Labels;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;

/// Neighbouring areas that are alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Area {
    /// Where it ends, in hexadecimal; where it starts is its key.
    end: String,
    /// `rwxp` or `rwxs`.
    prot: String,
    /// Offset in the file in bytes, hexadecimal.
    offset: String,
    /// Which file it maps, as a label; empty for private anonymous memory.
    inode: String,
    /// The path, `[heap]`, …
    name: String,
    /// VmFlags of smaps, without those that tell of the moment.
    vm_flags: String,
}

impl Area {
    /// Whether it is private anonymous memory without a name.
    pub fn is_plain(&self) -> bool {
        self.inode.is_empty() && self.name.is_empty() && self.prot.ends_with('p')
    }

    /// Whether `other`, starting at `start_other`, is a part of this area, which starts at `start`.
    pub fn covers(&self, start: &str, other: &Area, start_other: &str) -> bool {
        let alike = Area { end: self.end.clone(), ..other.clone() } == *self;
        // Zero-padded numbers of one length: their order is that of the texts.
        alike && self.is_plain() && start <= start_other && other.end <= self.end
    }
}

/// An area as smaps shows it.
struct Raw {
    start: u64,
    end: u64,
    offset: u64,
    area: Area,
}

/// The areas of a process by their start (sixteen hexadecimal digits).
pub fn of(pid: i32, labels: &mut Labels) -> BTreeMap<String, Area> {
    let text = fs::read(format!("/proc/{pid}/smaps")).unwrap_or_default();
    parse(&String::from_utf8_lossy(&text), labels)
}

fn parse(smaps: &str, labels: &mut Labels) -> BTreeMap<String, Area> {
    let mut all: Vec<Raw> = Vec::new();
    let mut finished: Vec<Raw> = Vec::new();
    for line in smaps.lines() {
        if let Some(raw) = header(line, labels) {
            push_merged(&mut finished, all.pop());
            all.push(raw);
        } else if let (Some(flags), Some(raw)) = (line.strip_prefix("VmFlags:"), all.last_mut()) {
            // `sd` tells that pages were written since soft-dirty bits were cleared; `ht`, `lo` and the rest are state.
            let kept: Vec<&str> = flags.split_whitespace().filter(|f| *f != "sd").collect();
            raw.area.vm_flags = kept.join(" ");
        }
    }
    push_merged(&mut finished, all.pop());
    finished.into_iter().map(|raw| (hex(raw.start), raw.area)).collect()
}

/// Appends an area, or lengthens the last one where it continues it.
fn push_merged(all: &mut Vec<Raw>, next: Option<Raw>) {
    let Some(next) = next else { return };
    if let Some(last) = all.last_mut() {
        let length = last.end - last.start;
        let continues = last.end == next.start && (last.area.inode.is_empty() || last.offset + length == next.offset);
        let offset = last.area.offset.clone();
        let alike = Area { end: last.area.end.clone(), offset, ..next.area.clone() } == last.area;
        if continues && alike {
            last.end = next.end;
            last.area.end = next.area.end;
            return;
        }
    }
    all.push(next);
}

/// Parses `START-END PROT OFFSET DEV INODE NAME`; none for the other lines of smaps.
fn header(line: &str, labels: &mut Labels) -> Option<Raw> {
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
    let prot = words.next()?.to_owned();
    let offset = u64::from_str_radix(words.next()?, 16).ok()?;
    let (device, inode) = (words.next()?, words.next()?);
    let name = words.next().unwrap_or("").trim().to_owned();
    let inode = if inode == "0" { String::new() } else { labels.name("mapped", &format!("{device} {inode}")) };
    // The offset of anonymous memory is its address: it says nothing.
    let shown = if inode.is_empty() { String::new() } else { format!("{offset:x}") };
    let area = Area { end: hex(end), prot, offset: shown, inode, name, vm_flags: String::new() };
    (end >= start).then_some(Raw { start, end, offset, area })
}

fn hex(address: u64) -> String {
    format!("{address:016x}")
}

/// Anonymous memory of a process in KiB, each page divided by the number of those who share it.
pub fn anonymous_pss(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let value = text.lines().find_map(|l| l.strip_prefix("Pss_Anon:"));
    value.and_then(|v| v.trim().strip_suffix("kB")?.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
00400000-00401000 r--p 00000000 fe:00 12 /bin/a b
Size:                  4 kB
VmFlags: rd mr mw me sd
00401000-00402000 r--p 00001000 fe:00 12 /bin/a b
VmFlags: rd mr mw me
00402000-00403000 r--p 00009000 fe:00 12 /bin/a b
VmFlags: rd mr mw me
7f0000000000-7f0000001000 rw-p 00000000 00:00 0 
VmFlags: rd wr
7f0000001000-7f0000003000 rw-p 00000000 00:00 0 
VmFlags: rd wr
7f0000003000-7f0000004000 rw-p 00000000 00:00 0 
VmFlags: rd wr lo
";

    #[test]
    fn equal_neighbours_are_one() {
        let all = parse(SMAPS, &mut Labels::default());
        let ends: Vec<_> = all.iter().map(|(start, a)| format!("{start}-{}", a.end)).collect();
        assert_eq!(
            ends,
            [
                "0000000000400000-0000000000402000",
                "0000000000402000-0000000000403000",
                "00007f0000000000-00007f0000003000",
                "00007f0000003000-00007f0000004000",
            ]
        );
        let first = all.values().next().unwrap();
        assert_eq!((first.name.as_str(), first.inode.as_str(), first.is_plain()), ("/bin/a b", "mapped#1", false));
    }

    #[test]
    fn a_part_of_a_plain_area_is_covered() {
        let all = parse(SMAPS, &mut Labels::default());
        let (start, whole) = all.iter().nth(2).unwrap();
        let part = Area { end: "00007f0000002000".to_owned(), ..whole.clone() };
        assert!(whole.covers(start, &part, "00007f0000001000"));
        assert!(!part.covers("00007f0000001000", whole, start));
        assert!(!whole.covers(start, &Area { prot: "r--p".to_owned(), ..part }, "00007f0000001000"));
    }
}
