//! The few netlink messages that are sent, and what comes back.

use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

/// `NLM_F_REQUEST`, `NLM_F_ACK`, `NLM_F_DUMP`, `NLM_F_CREATE | NLM_F_EXCL` of linux/netlink.h.
pub(crate) const REQUEST: u16 = 1;
pub(crate) const ACK: u16 = 4;
pub(crate) const DUMP: u16 = 0x300;
pub(crate) const CREATE: u16 = 0x600;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER: usize = 16;

/// A message under construction, in native byte order as netlink has it.
#[derive(Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    /// A message of that type and flags; `body` is the fixed part that the type prescribes.
    pub(crate) fn new(kind: u16, flags: u16, body: &[u8]) -> Message {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(body);
        Message(bytes).pad()
    }

    /// Attributes without a message around them.
    pub(crate) fn attributes() -> Message {
        Message::default()
    }

    /// Adds an attribute.
    pub(crate) fn with(mut self, kind: u16, value: &[u8]) -> Message {
        let length = (value.len() + 4) as u16;
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.pad()
    }

    fn pad(mut self) -> Message {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// The bytes of attributes that were built without a message.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn sealed(mut self) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[0..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

/// Sends the messages as one packet and returns the bodies of the answers, up to the first acknowledgement or end.
pub(crate) fn ask(
    protocol: SockProtocol,
    messages: impl IntoIterator<Item = Message>,
) -> Result<Vec<(u16, Vec<u8>)>, Errno> {
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(5, 0))?;
    let packet: Vec<u8> = messages.into_iter().flat_map(Message::sealed).collect();
    sendto(socket.as_raw_fd(), &packet, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut answers = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let received = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        if collect(&buffer[..received], &mut answers)? {
            return Ok(answers);
        }
    }
}

/// Reads one packet; true when nothing more is to come.
fn collect(mut packet: &[u8], answers: &mut Vec<(u16, Vec<u8>)>) -> Result<bool, Errno> {
    let mut end = true;
    while let Some((header, _)) = packet.split_at_checked(HEADER) {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let flags = u16::from_ne_bytes([header[6], header[7]]);
        let body = packet.get(HEADER..length).ok_or(Errno::EBADMSG)?;
        match kind {
            NLMSG_ERROR | NLMSG_DONE => {
                let code = body.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
                return if code < 0 { Err(Errno::from_raw(-code)) } else { Ok(true) };
            }
            _ => answers.push((kind, body.to_vec())),
        }
        end = flags & 2 == 0;
        packet = packet.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(end)
}

/// The value of an attribute of that type among `attributes`.
pub(crate) fn attribute(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    while let [a, b, c, d, ..] = *attributes {
        let length = usize::from(u16::from_ne_bytes([a, b]));
        if u16::from_ne_bytes([c, d]) & 0x3fff == kind {
            return attributes.get(4..length);
        }
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_padded_and_say_their_length() {
        let bytes = Message::new(16, REQUEST, &[1, 2]).with(3, b"abc\0\0").sealed();
        assert_eq!(bytes.len(), 16 + 4 + 4 + 8);
        assert_eq!(bytes[0..4], 32u32.to_ne_bytes());
        assert_eq!(attribute(&bytes[20..], 3), Some(&b"abc\0\0"[..]));
        assert_eq!(attribute(&bytes[20..], 4), None);
    }

    #[test]
    fn hostile_packets_end() {
        let mut answers = Vec::new();
        assert!(collect(&[0; 16], &mut answers).is_err());
        assert_eq!(collect(&[], &mut answers), Ok(true));
        assert_eq!(attribute(&[0, 0, 9, 0, 0, 0], 3), None);
    }
}
