//! A BPF map is refused by name; what is in it stays.
//@ dump-fails: "anon_inode:bpf-map"
//@ needs: [cap:bpf]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::owned;
use nix::errno::Errno;
use std::os::fd::AsRawFd;

const BPF_MAP_CREATE: i32 = 0;
const BPF_MAP_LOOKUP_ELEM: i32 = 1;
const BPF_MAP_UPDATE_ELEM: i32 = 2;

/// bpf(2) with the first 32 bytes of its attributes.
fn bpf(command: i32, attributes: &[u64; 4]) -> i64 {
    // SAFETY: the attributes and what they point to outlive the call.
    unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), size_of_val(attributes)) }
}

/// Two 32-bit fields in one word, the first at the lower address.
fn pair(first: u32, second: u32) -> u64 {
    let mut both = [0; 8];
    both[..4].copy_from_slice(&first.to_ne_bytes());
    both[4..].copy_from_slice(&second.to_ne_bytes());
    u64::from_ne_bytes(both)
}

pub fn run(gate: &mut Gate) -> Verdict {
    // An array (2) with keys of 4 bytes, values of 8, two entries.
    let map = owned(bpf(BPF_MAP_CREATE, &[pair(2, 4), pair(8, 2), 0, 0]))?;
    let (key, mut value) = (1u32, 0xfeed_u64);
    let fd = pair(map.as_raw_fd() as u32, 0);
    Errno::result(bpf(BPF_MAP_UPDATE_ELEM, &[fd, &raw const key as u64, &raw const value as u64, 0]))?;
    gate.checkpoint()?;
    value = 0;
    Errno::result(bpf(BPF_MAP_LOOKUP_ELEM, &[fd, &raw const key as u64, &raw mut value as u64, 0]))?;
    check_eq("the value", std::hint::black_box(value), 0xfeed)
}
