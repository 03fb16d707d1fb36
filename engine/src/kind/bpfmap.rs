//! A BPF map: an array or a hash survives with its entries, sizes, flags and name, and whether it is frozen; open files of
//! one map stay files of one map. It is a new map with a new number: programs in the kernel that use the old one, and
//! names of it in a BPF file system, do not follow. Maps of other types are refused, and those whose entries have types.

use super::eventfd::missing;
use super::{BatchCall, Descriptor, DumpContext, Kind, RestoreContext};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{BpfmapDataEntry, BpfmapFileEntry, FdTypes, FileEntry};
use crate::image::{ImageDir, NewImageDir, kinds};
use crate::proc::fdinfo::Body;
use crate::sys::bpf::{self, Cursor, MapInfo};
use crate::sys::{self, Errno};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// See the module.
pub struct BpfMap;

const HASH: u32 = 1;
const ARRAY: u32 = 2;
/// The types of maps from 0 on, as bpf(2) calls them.
const TYPES: [&str; 34] = [
    "unspecified",
    "hash",
    "array",
    "prog_array",
    "perf_event_array",
    "percpu_hash",
    "percpu_array",
    "stack_trace",
    "cgroup_array",
    "lru_hash",
    "lru_percpu_hash",
    "lpm_trie",
    "array_of_maps",
    "hash_of_maps",
    "devmap",
    "sockmap",
    "cpumap",
    "xskmap",
    "sockhash",
    "cgroup_storage",
    "reuseport_sockarray",
    "percpu_cgroup_storage",
    "queue",
    "stack",
    "sk_storage",
    "devmap_hash",
    "struct_ops",
    "ringbuf",
    "inode_storage",
    "task_storage",
    "bloom_filter",
    "user_ringbuf",
    "cgrp_storage",
    "arena",
];
/// Access modes of a file of a map.
const F_RDONLY: u32 = 1 << 3;
const F_WRONLY: u32 = 1 << 4;
/// Flags that say all that is needed to make the map again: NO_PREALLOC, RDONLY_PROG, WRONLY_PROG, ZERO_SEED, MMAPABLE,
/// INNER_MAP.
const KNOWN_FLAGS: u32 = 1 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 12;

impl Kind for BpfMap {
    fn fd_type(&self) -> FdTypes {
        FdTypes::Bpfmap
    }

    fn claims(&self, descriptor: &Descriptor) -> bool {
        matches!(descriptor.info.body, Body::BpfMap(_))
    }

    fn dump(&self, descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
        let Body::BpfMap(state) = &descriptor.info.body else {
            return Err(Error::state(format!("{} is no BPF map", descriptor.describe())));
        };
        let doing = || format!("ask for the map of {}", descriptor.describe());
        let info = bpf::info(descriptor.copy.as_fd()).doing(doing)?;
        check(&info, descriptor)?;
        cx.maps.take(&info, descriptor)?;
        let name = info.name.split(|byte| *byte == 0).next().unwrap_or_default();
        let bpf = BpfmapFileEntry {
            id,
            flags: descriptor.flags(),
            pos: 0,
            fown: descriptor.owner()?,
            map_type: info.kind,
            key_size: info.key_size,
            value_size: info.value_size,
            map_id: info.id,
            max_entries: info.max_entries,
            map_flags: info.flags,
            memlock: state.memlock,
            frozen: state.frozen,
            map_name: String::from_utf8_lossy(name).into_owned(),
            ifindex: info.ifindex,
            mnt_id: None,
            map_extra: Some(info.extra),
        };
        Ok(FileEntry { r#type: FdTypes::Bpfmap as i32, id, bpf: Some(bpf), ..FileEntry::default() })
    }

    fn needs(&self, _: &FileEntry) -> Vec<u32> {
        Vec::new()
    }

    fn restore(&self, entry: &FileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
        let Some(file) = &entry.bpf else { return Err(missing(entry, "BPF map")) };
        let map = cx.maps.get(file)?;
        let access = match file.flags as i32 & libc::O_ACCMODE {
            libc::O_RDONLY => F_RDONLY,
            libc::O_WRONLY => F_WRONLY,
            _ => 0,
        };
        let doing = || format!("open the BPF map {}", file.map_name);
        let id = bpf::info(map).doing(doing)?.id;
        let fd = bpf::open(id, access).doing(doing)?;
        sys::file::set_flags(fd.as_fd(), file.flags as i32).doing(|| "set flags of a BPF map")?;
        cx.set_owner(fd.as_fd(), &file.fown)?;
        Ok(fd)
    }

    fn attach(&self, _: &FileEntry, _: i32, _: &HashMap<u32, FileEntry>) -> Vec<BatchCall> {
        Vec::new()
    }
}

/// Refuses maps of which a new one would not be the same.
fn check(info: &MapInfo, descriptor: &Descriptor) -> Result<()> {
    let refuse = |reason: String| {
        Err(Error::unsupported(descriptor.describe(), reason).with_help("close the descriptor before the dump"))
    };
    if !matches!(info.kind, HASH | ARRAY) {
        let name = TYPES.get(info.kind as usize).copied().unwrap_or("unknown");
        return refuse(format!("BPF maps of the type {name} ({}) are not supported yet", info.kind));
    }
    if info.btf_id != 0 {
        return refuse(format!("the types of its entries (BTF {}) are not supported yet", info.btf_id));
    }
    if info.ifindex != 0 {
        return refuse(format!("it was given to the network device {}", info.ifindex));
    }
    match info.flags & !KNOWN_FLAGS {
        0 => Ok(()),
        unknown => refuse(format!("BPF maps with the flags {unknown:#x} are not supported yet")),
    }
}

/// The entries of maps, while a tree is dumped.
#[derive(Debug, Default)]
pub struct Entries {
    /// The records with keys and values.
    records: Vec<(BpfmapDataEntry, Vec<u8>)>,
}

impl Entries {
    /// Reads the entries of a map, once for each map.
    fn take(&mut self, info: &MapInfo, descriptor: &Descriptor) -> Result<()> {
        if self.records.iter().any(|(record, _)| record.map_id == info.id) {
            return Ok(());
        }
        let doing = || format!("read the entries of {}", descriptor.describe());
        // The descriptor itself may be for writing only.
        let map = bpf::open(info.id, F_RDONLY).doing(doing)?;
        let (keys, values) = read(map.as_fd(), info).doing(doing)?;
        let sizes = (u32::try_from(keys.len()), u32::try_from(values.len()));
        let (Ok(keys_bytes), Ok(values_bytes)) = sizes else {
            return Err(Error::unsupported(descriptor.describe(), "its entries take more than 4 GiB"));
        };
        let count = keys_bytes / info.key_size.max(1);
        let record = BpfmapDataEntry { map_id: info.id, keys_bytes, values_bytes, count };
        self.records.push((record, [keys, values].concat()));
        Ok(())
    }

    /// Writes them.
    pub fn write(&self, out: &NewImageDir) -> Result<()> {
        if self.records.is_empty() {
            return Ok(());
        }
        let mut writer = out.writer(kinds::BPFMAP_DATA.single());
        for (record, bytes) in &self.records {
            writer.entry(record)?;
            writer.payload(bytes)?;
        }
        Ok(writer.finish()?)
    }
}

/// All keys, and all values.
fn read(map: BorrowedFd<'_>, info: &MapInfo) -> sys::Result<(Vec<u8>, Vec<u8>)> {
    const AT_ONCE: u32 = 4096;
    let (key, value) = (info.key_size as usize, info.value_size as usize);
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    let mut cursor = Cursor::new(info.key_size);
    let mut room = info.max_entries.min(AT_ONCE);
    loop {
        let (old_keys, old_values) = (keys.len(), values.len());
        keys.resize(old_keys + room as usize * key, 0);
        values.resize(old_values + room as usize * value, 0);
        let looked = bpf::lookup(map, &mut cursor, (&mut keys[old_keys..], &mut values[old_values..]), room);
        let count = looked.map_or(0, |(count, _)| count as usize);
        keys.truncate(old_keys + count * key);
        values.truncate(old_values + count * value);
        match looked {
            Ok((_, true)) => return Ok((keys, values)),
            Ok(_) => {}
            // More entries have one hash.
            Err(Errno::ENOSPC) if room < info.max_entries => room = room.saturating_mul(2).min(info.max_entries),
            Err(e) => return Err(e),
        }
    }
}

/// The maps of a tree that is restored.
#[derive(Debug, Default)]
pub struct Maps {
    entries: HashMap<u32, (BpfmapDataEntry, Vec<u8>)>,
    made: HashMap<u32, OwnedFd>,
}

impl Maps {
    /// Reads what is in them.
    pub fn load(images: &ImageDir) -> Result<Maps> {
        let len = |record: &BpfmapDataEntry| u64::from(record.keys_bytes) + u64::from(record.values_bytes);
        let records = images.read_all_with(kinds::BPFMAP_DATA.single(), len)?;
        Ok(Maps { entries: records.into_iter().map(|one| (one.0.map_id, one)).collect(), made: HashMap::new() })
    }

    /// Closes the engine's own files of them.
    pub fn close(&mut self) {
        self.made.clear();
    }

    /// The map of a file, made for the first of its files.
    fn get(&mut self, file: &BpfmapFileEntry) -> Result<BorrowedFd<'_>> {
        if !self.made.contains_key(&file.map_id) {
            let map = self.make(file)?;
            self.made.insert(file.map_id, map);
        }
        Ok(self.made[&file.map_id].as_fd())
    }

    fn make(&self, file: &BpfmapFileEntry) -> Result<OwnedFd> {
        let what = || format!("the BPF map {} ({})", file.map_id, file.map_name);
        let mut info = MapInfo {
            kind: file.map_type,
            key_size: file.key_size,
            value_size: file.value_size,
            max_entries: file.max_entries,
            flags: file.map_flags,
            extra: file.map_extra.unwrap_or(0),
            ..MapInfo::default()
        };
        let name = file.map_name.as_bytes();
        if !matches!(file.map_type, HASH | ARRAY) || name.len() >= info.name.len() || file.ifindex != 0 {
            return Err(Error::state(format!("{} of the images is one that this version cannot restore", what())));
        }
        info.name[..name.len()].copy_from_slice(name);
        let map = bpf::create(&info).doing(|| format!("make {}", what()))?;
        if let Some((record, bytes)) = self.entries.get(&file.map_id).filter(|(record, _)| record.count > 0) {
            let fits = |bytes: u32, size: u32| u64::from(bytes) == u64::from(record.count) * u64::from(size);
            if !fits(record.keys_bytes, file.key_size) || !fits(record.values_bytes, file.value_size) {
                return Err(Error::state(format!("the entries of {} in the images have other sizes", what())));
            }
            let (keys, values) = bytes.split_at(record.keys_bytes as usize);
            bpf::update(map.as_fd(), keys, values, record.count).doing(|| format!("fill {}", what()))?;
        }
        if file.frozen {
            bpf::freeze(map.as_fd()).doing(|| format!("freeze {}", what()))?;
        }
        Ok(map)
    }
}
