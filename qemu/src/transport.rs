//! What a machine sends back, over a virtio-serial port: frames, each a line `KIND LENGTH` and so many bytes.

use anyhow::{Context as _, bail};
use std::io::{BufRead, Read as _, Write};

/// The most that a frame holds.
const LIMIT: usize = 1 << 30;

/// A message of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// User space is reached; the kernel's version.
    Hello(String),
    /// A line that the task printed.
    Line(String),
    /// A file below the directory of what is kept.
    File(String, Vec<u8>),
    /// Why the task could not be done.
    Error(String),
    /// The task's exit status; nothing follows.
    End(i32),
}

impl Frame {
    /// Writes the frame.
    pub fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let status;
        let (kind, head, data): (_, &str, &[u8]) = match self {
            Frame::Hello(text) => ("hello", "", text.as_bytes()),
            Frame::Line(text) => ("line", "", text.as_bytes()),
            Frame::Error(text) => ("error", "", text.as_bytes()),
            Frame::File(path, data) => ("file", path, data),
            Frame::End(code) => {
                status = code.to_string();
                ("end", "", status.as_bytes())
            }
        };
        // One write for small frames: each is a trip to the host.
        let head = if matches!(self, Frame::File(..)) { format!("{head}\0") } else { String::new() };
        let mut bytes = format!("{kind} {}\n{head}", head.len() + data.len()).into_bytes();
        bytes.extend_from_slice(data);
        out.write_all(&bytes).and_then(|()| out.flush())
    }

    /// Reads a frame; none at the end of the stream.
    pub fn read(from: &mut impl BufRead) -> anyhow::Result<Option<Frame>> {
        let mut line = String::new();
        if from.by_ref().take(64).read_line(&mut line).context("failed to read from the machine")? == 0 {
            return Ok(None);
        }
        let (kind, length) = line.trim_end().split_once(' ').with_context(|| format!("`{line}` begins no frame"))?;
        let length: usize = length.parse().with_context(|| format!("`{line}` begins no frame"))?;
        if length > LIMIT {
            bail!("a frame of {length} bytes");
        }
        let mut data = Vec::new();
        if from.by_ref().take(length as u64).read_to_end(&mut data).context("failed to read from the machine")? < length
        {
            bail!("the machine ended within a frame");
        }
        let text = |data: Vec<u8>| String::from_utf8_lossy(&data).into_owned();
        Ok(Some(match kind {
            "hello" => Frame::Hello(text(data)),
            "line" => Frame::Line(text(data)),
            "error" => Frame::Error(text(data)),
            "end" => Frame::End(text(data).parse().context("a status that is no number")?),
            "file" => {
                let at = data.iter().position(|b| *b == 0).context("a file without a name")?;
                let rest = data.split_off(at + 1);
                data.pop();
                Frame::File(text(data), rest)
            }
            _ => bail!("`{kind}`: no such kind of frame"),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Vec<Frame> {
        vec![
            Frame::Hello("6.12".to_owned()),
            Frame::Line("{\"a\": \"ä\"}".to_owned()),
            Frame::Line(String::new()),
            Frame::File("a-b.once/log".to_owned(), vec![0, 10, 255]),
            Frame::File("empty".to_owned(), Vec::new()),
            Frame::Error("why".to_owned()),
            Frame::End(-1),
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        frames().iter().for_each(|f| f.write(&mut bytes).unwrap());
        let mut from = bytes.as_slice();
        let read: Vec<Frame> = std::iter::from_fn(|| Frame::read(&mut from).unwrap()).collect();
        assert_eq!(read, frames());
    }

    #[test]
    fn a_cut_or_garbled_stream_is_an_error() {
        let mut bytes = Vec::new();
        Frame::File("x".to_owned(), vec![7; 100]).write(&mut bytes).unwrap();
        for cut in 1..bytes.len() {
            assert!(Frame::read(&mut &bytes[..cut]).is_err(), "cut at {cut}");
        }
        for wrong in ["kernel panic\n", "line x\n", "line 99999999999\n", "what 0\n", "file 1\nx", "end 1\nx"] {
            assert!(Frame::read(&mut wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
