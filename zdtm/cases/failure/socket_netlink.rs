//! A netlink socket is refused by name; it still answers.
//@ dump-fails: "socket:["
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{owned, read_once, write_once};

pub fn run(gate: &mut Gate) -> Verdict {
    // SAFETY: integers only.
    let socket = owned(unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE) }.into())?;
    gate.checkpoint()?;
    // RTM_GETLINK (18) of interface 1: header of 16 bytes, struct ifinfomsg of 16.
    let mut request = vec![0u8; 32];
    request[..4].copy_from_slice(&32u32.to_ne_bytes());
    request[4..6].copy_from_slice(&18u16.to_ne_bytes());
    request[6..8].copy_from_slice(&1u16.to_ne_bytes());
    request[20..24].copy_from_slice(&1u32.to_ne_bytes());
    write_once(&socket, &request)?;
    let answer = read_once(&socket, 8192)?;
    // RTM_NEWLINK.
    check_eq("the type of the answer", answer.get(4..6), Some(&16u16.to_ne_bytes()[..]))
}
