//! /proc/PID/mountinfo: the mounts of a task's mount namespace below its root.

use super::ProcDir;
use super::error::{ParseError, Result};
use super::text::{Line, Lines, unescape_octal};

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its id, as in fdinfo.
    pub id: i32,
    /// The mount it is mounted on; its own id for the root of the namespace.
    pub parent: i32,
    /// Device of the file system, major and minor.
    pub dev: (u32, u32),
    /// The directory of the file system that is its root; `//deleted` ends that of a removed one.
    pub root: Vec<u8>,
    /// Where it is mounted, from the task's root.
    pub mountpoint: Vec<u8>,
    /// Options of the mount, still escaped, see [`split_options`].
    pub options: Vec<u8>,
    /// How mounts propagate.
    pub propagation: Propagation,
    /// Optional fields that are not known.
    pub unknown: Vec<Vec<u8>>,
    /// The file system type, with a subtype after a dot.
    pub fs_type: Vec<u8>,
    /// The source, `none` or whatever mount(2) was given; may be empty.
    pub source: Vec<u8>,
    /// Options of the file system, still escaped, see [`split_options`].
    pub super_options: Vec<u8>,
}

/// How mounts propagate, by peer groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Propagation {
    /// The peer group it shares with.
    pub shared: Option<i32>,
    /// The peer group it receives from.
    pub master: Option<i32>,
    /// The nearest group under the task's root that it receives from, where `master` is not below that root.
    pub propagate_from: Option<i32>,
    /// MS_UNBINDABLE.
    pub unbindable: bool,
}

/// Reads `mountinfo` of a task.
pub fn read(dir: &ProcDir, buf: &mut Vec<u8>) -> Result<Vec<Mount>> {
    dir.read_with("mountinfo", buf, parse)
}

/// Parses a mountinfo file.
pub fn parse(text: &[u8]) -> Result<Vec<Mount>, ParseError> {
    Lines::new(text).map(|mut line| mount(&mut line)).collect()
}

/// Splits options at their commas, then decodes each: an escaped comma is part of a value.
pub fn split_options(options: &[u8]) -> Vec<Vec<u8>> {
    options.split(|b| *b == b',').filter(|option| !option.is_empty()).map(unescape_octal).collect()
}

fn mount(line: &mut Line<'_>) -> Result<Mount, ParseError> {
    let id = line.int("a mount id")?;
    line.expect(b" ", "a blank after the mount id")?;
    let parent = line.int("the parent's mount id")?;
    line.expect(b" ", "a blank after the parent's mount id")?;
    let major = line.dec("a device's major number")?;
    line.expect(b":", "`:` between the device's numbers")?;
    let minor = line.dec("a device's minor number")?;
    line.expect(b" ", "a blank after the device")?;
    let root = unescape_octal(field(line, "the root of the mount")?);
    let mountpoint = unescape_octal(field(line, "the mount point")?);
    let options = field(line, "the options of the mount")?.to_vec();
    let (propagation, unknown) = optional(line)?;
    // A source may be empty: fields end at exactly one blank.
    let fs_type = unescape_octal(field(line, "the file system type")?);
    let source = unescape_octal(field(line, "the source")?);
    let super_options = line.rest().to_vec();
    Ok(Mount {
        id,
        parent,
        dev: (major, minor),
        root,
        mountpoint,
        options,
        propagation,
        unknown,
        fs_type,
        source,
        super_options,
    })
}

fn field<'a>(line: &mut Line<'a>, expected: &'static str) -> Result<&'a [u8], ParseError> {
    let whole = line.clone();
    line.until(b' ').ok_or_else(|| whole.error(expected))
}

/// Optional fields up to and with the `-` that ends them.
fn optional(line: &mut Line<'_>) -> Result<(Propagation, Vec<Vec<u8>>), ParseError> {
    let mut out = Propagation::default();
    let mut unknown = Vec::new();
    loop {
        let whole = line.clone();
        let mut word = Line::of(field(line, "`-` after the optional fields")?);
        if word.rest() == b"-" {
            return Ok((out, unknown));
        }
        let group = |word: &mut Line<'_>| word.int("").ok().filter(|_| word.rest().is_empty());
        let known = if word.rest() == b"unbindable" {
            out.unbindable = true;
            continue;
        } else if word.skip(b"shared:") {
            &mut out.shared
        } else if word.skip(b"master:") {
            &mut out.master
        } else if word.skip(b"propagate_from:") {
            &mut out.propagate_from
        } else {
            unknown.push(word.rest().to_vec());
            continue;
        };
        *known = Some(group(&mut word).ok_or_else(|| whole.error("the number of a peer group"))?);
    }
}
