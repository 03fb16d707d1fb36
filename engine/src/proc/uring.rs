//! What fdinfo says of an io_uring instance: counters, then lists under headings.

use super::error::ParseError;
use super::text::Line;

/// An io_uring instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IoUring {
    /// Places for submissions, less one.
    pub sq_mask: u32,
    /// Places for completions, less one.
    pub cq_mask: u32,
    /// Submissions that the kernel has taken, modulo 2^32.
    pub submitted: u32,
    /// Completions that the kernel has made, modulo 2^32.
    pub completed: u32,
    /// The kernel thread that looks for submissions; -1 if there is none, `None` where the kernel does not say.
    pub sq_thread: Option<i32>,
    /// Slots for registered files.
    pub file_slots: u32,
    /// The files: slot and path.
    pub files: Vec<(u32, Vec<u8>)>,
    /// Slots for registered buffers.
    pub buffer_slots: u32,
    /// The buffers: slot, first address, bytes.
    pub buffers: Vec<(u32, u64, u32)>,
    /// Requests that wait, a line each.
    pub waiting: Vec<Vec<u8>>,
    /// Completions for which the ring has no place.
    pub overflown: u32,
    /// Registered credentials.
    pub personalities: u32,
    /// Whether it polls network devices.
    pub napi: bool,
    /// The heading of the lines to come.
    section: Section,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Section {
    #[default]
    Counters,
    Files,
    Buffers,
    Personalities,
    Waiting,
    Overflown,
    Other,
}

const NUMBER: &str = "a number";

/// The first line.
pub(super) fn begin(line: &mut Line<'_>) -> Result<IoUring, ParseError> {
    Ok(IoUring { sq_mask: mask(line)?, ..IoUring::default() })
}

fn mask(line: &mut Line<'_>) -> Result<u32, ParseError> {
    line.blanks();
    line.expect(b"0x", "a mask in hexadecimal")?;
    line.hex("a mask in hexadecimal")
}

/// A further line.
pub(super) fn line(it: &mut IoUring, line: &mut Line<'_>) -> Result<(), ParseError> {
    if line.rest().first().is_some_and(|byte| *byte == b' ' || byte.is_ascii_digit()) {
        return item(it, line);
    }
    let Some(key) = line.until(b':') else {
        line.take_rest();
        return Ok(());
    };
    it.section = Section::Other;
    match key {
        b"CqMask" => it.cq_mask = mask(line)?,
        b"CachedSqHead" => it.submitted = line.dec(NUMBER)?,
        b"CachedCqTail" => it.completed = line.dec(NUMBER)?,
        b"SqThread" => it.sq_thread = Some(line.int(NUMBER)?),
        b"UserFiles" => (it.section, it.file_slots) = (Section::Files, line.dec(NUMBER)?),
        b"UserBufs" => (it.section, it.buffer_slots) = (Section::Buffers, line.dec(NUMBER)?),
        b"Personalities" => it.section = Section::Personalities,
        b"PollList" => it.section = Section::Waiting,
        b"CqOverflowList" => it.section = Section::Overflown,
        b"NAPI" => it.napi = line.take_rest().trim_ascii() != b"disabled",
        _ => _ = line.take_rest(),
    }
    Ok(())
}

/// A line of a list.
fn item(it: &mut IoUring, line: &mut Line<'_>) -> Result<(), ParseError> {
    line.blanks();
    match it.section {
        Section::Files => {
            let slot = slot(line)?;
            let path = line.take_rest().trim_ascii_start();
            if path != b"<none>" {
                it.files.push((slot, unescape(path)));
            }
        }
        Section::Buffers => {
            let slot = slot(line)?;
            line.blanks();
            if line.rest() == b"<none>" {
                line.take_rest();
                return Ok(());
            }
            const BUFFER: &str = "`0xADDRESS/LENGTH`";
            line.expect(b"0x", BUFFER)?;
            let start = line.hex(BUFFER)?;
            line.expect(b"/", BUFFER)?;
            it.buffers.push((slot, start, line.dec(BUFFER)?));
        }
        Section::Waiting => it.waiting.push(line.take_rest().to_vec()),
        Section::Overflown => {
            it.overflown += 1;
            line.take_rest();
        }
        Section::Personalities => {
            it.personalities += 1;
            line.take_rest();
        }
        Section::Counters | Section::Other => _ = line.take_rest(),
    }
    Ok(())
}

fn slot(line: &mut Line<'_>) -> Result<u32, ParseError> {
    let slot = line.dec("the number of a slot")?;
    line.expect(b":", "the number of a slot and a colon")?;
    Ok(slot)
}

/// The kernel writes blanks, tabs, line feeds and backslashes as three octal digits.
fn unescape(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|digits| *first == b'\\' && digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        match octal {
            Some(digits) => {
                out.push(digits.iter().fold(0u8, |byte, digit| byte.wrapping_mul(8).wrapping_add(digit - b'0')));
                rest = &tail[3..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}
