//! bpf(2) on maps.

use super::{Result, check};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

const MAP_CREATE: i64 = 0;
const MAP_GET_FD_BY_ID: i64 = 14;
const OBJ_GET_INFO_BY_FD: i64 = 15;
const MAP_FREEZE: i64 = 22;
const MAP_LOOKUP_BATCH: i64 = 24;
const MAP_UPDATE_BATCH: i64 = 26;

/// The first fields of `struct bpf_map_info`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MapInfo {
    /// BPF_MAP_TYPE_*.
    pub kind: u32,
    /// The number of the map.
    pub id: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// The most entries.
    pub max_entries: u32,
    /// BPF_F_* that belong to the map.
    pub flags: u32,
    /// Its name, filled up with NUL.
    pub name: [u8; 16],
    /// The network device to which it was given.
    pub ifindex: u32,
    /// The number of a type of the kernel that values have.
    pub vmlinux_value_type: u32,
    /// The network namespace of that device: device and inode.
    pub netns: [u64; 2],
    /// The number of the types of its keys and values, 0 for none.
    pub btf_id: u32,
    /// The numbers of the types of keys and of values among those.
    pub btf_types: [u32; 2],
    /// The number of the kernel's own types, if they are used.
    pub btf_vmlinux_id: u32,
    /// What some types of maps have beyond that.
    pub extra: u64,
}
const _: () = assert!(size_of::<MapInfo>() == 88);

/// What the kernel says of a map.
pub fn info(map: BorrowedFd<'_>) -> Result<MapInfo> {
    let mut info = MapInfo::default();
    let mut attributes = [0u64; 2];
    put(&mut attributes, 0, map.as_raw_fd() as u32);
    put(&mut attributes, 1, size_of::<MapInfo>() as u32);
    attributes[1] = &raw mut info as u64;
    // SAFETY: the structure has as many bytes as the attributes say.
    unsafe { call(OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    Ok(info)
}

/// Another open file of a map; `flags` are BPF_F_RDONLY or BPF_F_WRONLY.
pub fn open(id: u32, flags: u32) -> Result<OwnedFd> {
    let mut attributes = [0u64; 2];
    put(&mut attributes, 0, id);
    put(&mut attributes, 2, flags);
    // SAFETY: numbers only.
    unsafe { opened(MAP_GET_FD_BY_ID, &mut attributes) }
}

/// Makes a map; of `info` all but the number counts.
pub fn create(info: &MapInfo) -> Result<OwnedFd> {
    let mut attributes = [0u64; 9];
    let fields = [info.kind, info.key_size, info.value_size, info.max_entries, info.flags];
    fields.into_iter().enumerate().for_each(|(n, field)| put(&mut attributes, n, field));
    let (words, _) = info.name.as_chunks();
    words.iter().enumerate().for_each(|(n, word)| put(&mut attributes, 7 + n, u32::from_ne_bytes(*word)));
    attributes[8] = info.extra;
    // SAFETY: no field of these is an address.
    unsafe { opened(MAP_CREATE, &mut attributes) }
}

/// Forbids the program to change a map.
pub fn freeze(map: BorrowedFd<'_>) -> Result<()> {
    let mut attributes = [0u64];
    put(&mut attributes, 0, map.as_raw_fd() as u32);
    // SAFETY: numbers only.
    unsafe { call(MAP_FREEZE, &mut attributes) }.map(drop)
}

/// Where the kernel goes on with a map's entries: as large as the largest key, which may be one of a hash's 32 bits.
#[derive(Debug, Clone)]
pub struct Cursor {
    place: Vec<u8>,
    begun: bool,
}

impl Cursor {
    /// At the first entry.
    pub fn new(key_size: u32) -> Cursor {
        Cursor { place: vec![0; (key_size as usize).max(4)], begun: false }
    }
}

/// Reads entries into `keys` and `values`, which have room for `room` of them, and puts the cursor behind them. How many
/// there were, and whether these were the last. ENOSPC: the room is too small.
pub fn lookup(
    map: BorrowedFd<'_>,
    cursor: &mut Cursor,
    (keys, values): (&mut [u8], &mut [u8]),
    room: u32,
) -> Result<(u32, bool)> {
    let mut next = cursor.place.clone();
    let from = if cursor.begun { cursor.place.as_ptr() as u64 } else { 0 };
    let mut attributes =
        [from, next.as_mut_ptr() as u64, keys.as_mut_ptr() as u64, values.as_mut_ptr() as u64, 0, 0, 0];
    put(&mut attributes, 8, room);
    put(&mut attributes, 9, map.as_raw_fd() as u32);
    // SAFETY: the caller's buffers have room for that many entries; the kernel reads and writes one place each.
    let last = match unsafe { call(MAP_LOOKUP_BATCH, &mut attributes) } {
        Ok(_) => false,
        Err(super::Errno::ENOENT) => true,
        Err(e) => return Err(e),
    };
    *cursor = Cursor { place: next, begun: true };
    Ok((get(&attributes, 8), last))
}

/// Sets `count` entries.
pub fn update(map: BorrowedFd<'_>, keys: &[u8], values: &[u8], count: u32) -> Result<()> {
    let mut attributes = [0, 0, keys.as_ptr() as u64, values.as_ptr() as u64, 0, 0, 0];
    put(&mut attributes, 8, count);
    put(&mut attributes, 9, map.as_raw_fd() as u32);
    // SAFETY: the caller's buffers hold that many entries.
    unsafe { call(MAP_UPDATE_BATCH, &mut attributes) }.map(drop)
}

/// Sets a 32-bit field of the attributes, in the machine's order of bytes.
fn put(attributes: &mut [u64], field: usize, value: u32) {
    let mut bytes = attributes[field / 2].to_ne_bytes();
    bytes[field % 2 * 4..][..4].copy_from_slice(&value.to_ne_bytes());
    attributes[field / 2] = u64::from_ne_bytes(bytes);
}

fn get(attributes: &[u64], field: usize) -> u32 {
    let bytes = attributes[field / 2].to_ne_bytes();
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[field % 2 * 4..][..4]);
    u32::from_ne_bytes(word)
}

/// # Safety
/// What the attributes point to must be as the command needs it.
unsafe fn call(command: i64, attributes: &mut [u64]) -> Result<i64> {
    let size = size_of_val(attributes);
    // SAFETY: the caller vouches for the attributes.
    check(unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), size) })
}

/// # Safety
/// As for [`call`], with a command that returns a new descriptor.
unsafe fn opened(command: i64, attributes: &mut [u64]) -> Result<OwnedFd> {
    // SAFETY: the caller vouches for the attributes.
    let fd = unsafe { call(command, attributes) }?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
