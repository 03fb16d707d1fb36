//! A process' address space: its areas, what became of them since they were mapped, and which of their pages have to be
//! saved.

use super::files::Files;
use super::freeze::{Outline, Process};
use super::pages;
use crate::check::kernel;
use crate::error::{Doing, Error, Result};
use crate::image::proto::{StasisUserfaultfdRange, StasisVmaFlags, StasisVmaName, VmaEntry};
use crate::kind;
use crate::proc::maps::{Mapping, Name};
use crate::proc::smaps::{Area, VmFlags};
use crate::remote::Leftover;
use crate::sys::ipc::{self, Object};
use crate::sys::{self, Pid, RemoteAddr};
use crate::vma::{self, status};
use std::collections::HashMap;
use std::fs::File;

/// The address space of a process, ready for the images.
pub struct Memory {
    /// Its areas.
    pub vmas: Vec<VmaEntry>,
    /// Private pages to be saved: first address and the address after the last, ascending.
    pub runs: Vec<(u64, u64)>,
    /// Names of anonymous areas.
    pub names: Vec<StasisVmaName>,
    /// What CRIU's message has no field for.
    pub flags: Vec<StasisVmaFlags>,
    /// Guard pages: first address and the address after the last.
    pub guards: Vec<(u64, u64)>,
    /// Where the vDSO is, and its bytes without anything of ours.
    pub vdso: Option<(u64, Vec<u8>)>,
    /// Whether they are not as the kernel gave them.
    pub vdso_written: bool,
    /// Its page map.
    pub pagemap: File,
}

/// Shared anonymous memory and memory files of the tree, by the id that their contents have in the images.
#[derive(Default)]
pub struct Segments {
    ids: HashMap<(u64, u64), u64>,
    /// A descriptor of each.
    pub files: Vec<(u64, File)>,
    /// The segments of System V shared memory by their ids, which they keep in the images; none where the tree has no IPC
    /// namespace to itself.
    sysv: Option<HashMap<i32, Attached>>,
}

/// A segment of System V shared memory.
struct Attached {
    /// How many areas map it, as the kernel says.
    expected: u64,
    /// How many were found.
    found: u64,
    /// The key that it was made with, as its areas show it.
    key: u32,
}

impl Segments {
    /// No area is known yet.
    pub fn new(sysv: Option<&[Object<ipc::Segment>]>) -> Segments {
        let attached = |segment: &Object<ipc::Segment>| Attached {
            expected: segment.about.attached,
            found: 0,
            key: segment.perm.key,
        };
        let sysv = sysv.map(|all| all.iter().map(|segment| (segment.id, attached(segment))).collect());
        Segments { sysv, ..Segments::default() }
    }

    /// The ids of System V segments whose memory no area of the tree showed.
    pub fn unopened(&self) -> Vec<i32> {
        let mut ids: Vec<i32> = self.sysv.iter().flatten().filter(|(_, a)| a.found == 0).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    /// Takes the memory of a System V segment.
    pub fn open_sysv(&mut self, id: i32, file: File) {
        self.files.push((id as u64, file));
    }

    /// The memory of all System V segments.
    pub fn sysv_files(&self) -> impl Iterator<Item = (i32, &File)> {
        let known = |id: u64| i32::try_from(id).ok().filter(|id| self.is_sysv(*id));
        self.files.iter().filter_map(move |(id, file)| Some((known(*id)?, file)))
    }

    /// The keys that System V segments were made with, by their ids.
    pub fn keys(&self) -> impl Iterator<Item = (i32, u32)> {
        self.sysv.iter().flatten().map(|(id, attached)| (*id, attached.key))
    }

    /// Adds one that is open for reading; its id is as near to its inode number as it can be.
    pub fn add(&mut self, inode: u64, file: File) -> u64 {
        // CRIU's ids have 32 bits; inode numbers of the shared memory file system may be larger.
        let mut id = inode & u64::from(u32::MAX);
        let is_sysv = |id: u64| i32::try_from(id).is_ok_and(|id| self.is_sysv(id));
        while self.files.iter().any(|(other, _)| *other == id) || is_sysv(id) || id == 0 {
            id = (id + 1) & u64::from(u32::MAX);
        }
        self.files.push((id, file));
        id
    }

    fn is_sysv(&self, id: i32) -> bool {
        self.sysv.as_ref().is_some_and(|sysv| sysv.contains_key(&id))
    }

    /// Refuses segments that somebody outside of the tree has attached too.
    pub fn check_attached(&self) -> Result<()> {
        match self.sysv.iter().flatten().find(|(_, attached)| attached.found != attached.expected) {
            None => Ok(()),
            Some((id, Attached { expected, found, .. })) => Err(Error::unsupported(
                format!("segment {id} of shared memory"),
                format!("it is attached {expected} times, and {found} times in the tree"),
            )
            .with_help("end who else uses the tree's IPC namespace")),
        }
    }
}

/// Where a process keeps the vDSO, and what is in it.
pub fn vdso(pid: Pid, areas: &[Area]) -> Result<Option<(u64, Vec<u8>)>> {
    let Some(area) = areas.iter().find(|a| a.mapping.kind() == Name::Vdso) else { return Ok(None) };
    let range = area.mapping.range;
    let mut bytes = vec![0; range.len() as usize];
    sys::mem::read_exact(pid, RemoteAddr(range.start), &mut bytes).doing(|| format!("read the vDSO of task {pid}"))?;
    Ok(Some((range.start, bytes)))
}

/// A process without vDSO cannot be dumped.
pub fn without_vdso(pid: Pid) -> Error {
    Error::unsupported(format!("process {pid}"), "it has no vDSO, where the engine would put its stub")
}

/// Refuses a program whose vDSO is one of 32 bits.
pub fn refuse_32_bit(pid: Pid, vdso: &[u8]) -> Result<()> {
    const CLASS: usize = 4;
    const CLASS_32: u8 = 1;
    match vdso.get(CLASS) {
        Some(&CLASS_32) => Err(crate::remote::runs_32_bit_code(pid)),
        _ => Ok(()),
    }
}

/// Whether a program wrote into its vDSO, whose bytes are given: the kernel has one for all processes, the engine too.
fn is_written(vdso: &[u8]) -> Result<bool> {
    let Some(own) = sys::process::own_vdso() else { return Ok(false) };
    let mut bytes = vec![0; vdso.len()];
    sys::mem::read_exact(Pid::this(), own, &mut bytes).doing(|| "read the vDSO of the engine")?;
    Ok(bytes != vdso)
}

/// A hole of `len` bytes in an address space: away from the stack, which grows, and from where the kernel maps next.
pub fn hole(areas: &[Area], len: u64) -> Option<u64> {
    const LOWEST: u64 = 0x10_0000;
    const AWAY: u64 = 1 << 24;
    let mut before = LOWEST;
    for area in areas {
        let range = area.mapping.range;
        if range.start >= before + len + 2 * AWAY {
            return Some((before + AWAY) & !(sys::page_size() - 1));
        }
        before = before.max(range.end);
    }
    // A crowded space: any gap does.
    areas.windows(2).find(|w| w[1].mapping.range.start - w[0].mapping.range.end >= len).map(|w| w[0].mapping.range.end)
}

/// Describes the address space of a process.
pub fn collect(
    process: &Process,
    areas: &[Area],
    leftover: Option<&Leftover>,
    vdso: Option<(u64, Vec<u8>)>,
    files: &mut Files<'_>,
    segments: &mut Segments,
) -> Result<Memory> {
    let pid = process.speaker();
    let mut memory = Memory {
        vmas: Vec::with_capacity(areas.len()),
        runs: Vec::new(),
        names: Vec::new(),
        flags: Vec::new(),
        guards: Vec::new(),
        vdso,
        vdso_written: false,
        pagemap: pagemap(process)?,
    };
    let own = areas.iter().filter(|area| leftover.is_none_or(|l| !l.holds(area.mapping.range.start)));
    for area in own {
        memory.vmas.push(describe(pid, area, files, segments)?);
        memory.note_extras(area);
    }
    let pages = pages::find(pid, &memory.pagemap, areas, &memory.vmas)?;
    (memory.runs, memory.guards) = (pages.runs, pages.guards);
    if let Some((_, bytes)) = &memory.vdso {
        memory.vdso_written = is_written(bytes)?;
    }
    for range in registered(process, &memory.pagemap, areas, files)? {
        let is_private = |v: &VmaEntry| v.start == range.start && pages::has_private_pages(v);
        if memory.vmas.iter().any(is_private) {
            let all = super::userfaults::pages(pid, &memory.pagemap, &range)?;
            memory.replace_runs((range.start, range.end), all);
        }
    }
    let vdso = memory.vdso.as_ref().map(|(start, bytes)| (*start, start + bytes.len() as u64));
    let rings = super::aio::rings(areas).into_iter().map(|ring| (ring.start, ring.end));
    vdso.into_iter().chain(rings).for_each(|run| memory.replace_runs(run, [run]));
    Ok(memory)
}

/// Looks at the areas of a process that runs, for what of them cannot be dumped.
pub fn survey(process: &Outline, areas: &[Area], files: &mut Files<'_>, segments: &mut Segments) -> Result<()> {
    for area in areas {
        let described = describe(process.speaker(), area, files, segments);
        files.cx.refusals.hear(process.pid, described)?;
    }
    let found = pagemap(process).and_then(|pagemap| registered(process, &pagemap, areas, files));
    files.cx.refusals.hear(process.pid, found).map(drop)
}

fn pagemap(process: &Outline) -> Result<File> {
    Ok(File::from(process.dir.open_file(&format!("task/{}/pagemap", process.speaker()))?))
}

/// The ranges that are registered with userfaultfds.
fn registered(
    process: &Outline,
    pagemap: &File,
    areas: &[Area],
    files: &mut Files<'_>,
) -> Result<Vec<StasisUserfaultfdRange>> {
    let pid = process.speaker();
    let ranges = super::userfaults::registered(pid, pagemap, areas)?;
    files.cx.userfaults.registered.extend(ranges.iter().map(|range| (pid, range.clone())));
    Ok(ranges)
}

/// Whether the pages of an area are locked as they come in. Some kernels show the flag without letters, and of those that
/// have none it is the only one on memory that can be locked.
pub fn is_locked_on_fault(area: &Area) -> bool {
    let nameless = || !kernel::get().names_lock_on_fault && area.unknown_flags.contains(b"??");
    area.flags.contains(VmFlags::LOCK_ON_FAULT) || area.flags.contains(VmFlags::LOCKED) && nameless()
}

impl Memory {
    /// Has other pages of an area saved than those that were found. A run may have begun in an earlier area.
    fn replace_runs(&mut self, (start, end): (u64, u64), with: impl IntoIterator<Item = (u64, u64)>) {
        let mut runs: Vec<(u64, u64)> = Vec::with_capacity(self.runs.len() + 1);
        let parts = self.runs.iter().flat_map(|&(from, to)| [(from, to.min(start)), (from.max(end), to)]);
        runs.extend(parts.filter(|(from, to)| from < to));
        runs.extend(with);
        runs.sort_unstable();
        self.runs = runs;
    }

    fn note_extras(&mut self, area: &Area) {
        let range = area.mapping.range;
        let name = match area.mapping.kind() {
            Name::AnonymousNamed(name) | Name::SharedNamed(name) => Some(name.to_vec()),
            _ => None,
        };
        if let Some(name) = name {
            self.names.push(StasisVmaName { start: range.start, name });
        }
        let has = |flag| area.flags.contains(flag).then_some(true);
        let flags = StasisVmaFlags {
            start: range.start,
            end: range.end,
            noreserve: has(VmFlags::NO_RESERVE),
            locked: has(VmFlags::LOCKED),
            lockonfault: is_locked_on_fault(area).then_some(true),
            sealed: has(VmFlags::SEALED),
            prot: has(VmFlags::ARM64_BTI).filter(|_| area.mapping.kind() != Name::Vdso).map(|_| vma::PROT_BTI),
            accounted: has(VmFlags::ACCOUNT).filter(|_| !area.mapping.shared && !area.flags.contains(VmFlags::WRITE)),
        };
        let any = [flags.noreserve, flags.locked, flags.lockonfault, flags.sealed, flags.accounted];
        if flags.prot.is_some() || any.iter().any(Option::is_some) {
            self.flags.push(flags);
        }
    }
}

/// The message of an area.
fn describe(pid: Pid, area: &Area, files: &mut Files<'_>, segments: &mut Segments) -> Result<VmaEntry> {
    let mapping = &area.mapping;
    refuse(pid, area)?;
    let mut entry = VmaEntry {
        start: mapping.range.start,
        end: mapping.range.end,
        pgoff: mapping.offset,
        shmid: 0,
        prot: mapping.prot.bits() as u32,
        flags: flags(area),
        status: status::REGULAR,
        fd: -1,
        madv: advice(area.flags),
        fdflags: None,
    };
    match mapping.kind() {
        Name::Vdso => entry.status |= status::VDSO | status::ANON_PRIVATE,
        Name::Vvar | Name::VvarVclock => entry.status |= status::VVAR | status::ANON_PRIVATE,
        Name::Vsyscall => entry.status = status::VSYSCALL | status::ANON_PRIVATE,
        Name::Heap => entry.status |= status::HEAP | status::ANON_PRIVATE,
        Name::AioRing => (entry.status, entry.pgoff) = (status::AIO_RING, 0),
        Name::SharedAnonymous | Name::SharedNamed(_) => shared(pid, mapping, &mut entry, segments)?,
        Name::Hugetlb if mapping.shared => shared(pid, mapping, &mut entry, segments)?,
        Name::Hugetlb | Name::Anonymous | Name::AnonymousNamed(_) | Name::Stack => entry.status |= status::ANON_PRIVATE,
        Name::Special(kind::io_uring::NAME) => {
            let ring = files.cx.rings.of_mapping(pid, mapping);
            let unknown = "it is of an io_uring instance that no process of the tree has as a descriptor";
            entry.shmid = u64::from(ring.ok_or_else(|| unsupported(pid, mapping, unknown))?);
            entry.status |= status::FILE_SHARED | status::IO_URING;
        }
        Name::File | Name::Memfd(_) => {
            let (id, writable) = file_of(pid, area, files)?;
            entry.shmid = u64::from(id);
            entry.status |= if mapping.shared { status::FILE_SHARED } else { status::FILE_PRIVATE };
            entry.status |= if files.cx.memfds.is_file(id) { status::MEMFD } else { 0 };
            entry.fdflags = Some(if writable { libc::O_RDWR as u32 } else { 0 });
        }
        Name::SysV(key) => sysv(pid, area, key, &mut entry, segments)?,
        _ => return Err(unsupported(pid, mapping, "areas of this kind are not supported yet")),
    }
    if mapping.shared || entry.status & (status::FILE_PRIVATE) != 0 {
        return Ok(entry);
    }
    entry.pgoff = 0;
    Ok(entry)
}

/// The file of a mapping, and whether it is to be open for writing when it is mapped again.
fn file_of(pid: Pid, area: &Area, files: &mut Files<'_>) -> Result<(u32, bool)> {
    let mapping = &area.mapping;
    let name = map_files_name(mapping);
    let writable = mapping.shared && area.flags.contains(VmFlags::MAY_WRITE);
    let id = files.of_mapping(pid, mapping, &name, writable)?;
    // By a descriptor for writing, but of a memory file that was sealed against it.
    if !writable && area.flags.contains(VmFlags::SHARED) && files.cx.memfds.is_constant(id) {
        return Ok((files.of_mapping(pid, mapping, &name, true)?, true));
    }
    Ok((id, writable))
}

/// Shared anonymous memory: one segment for all its mappings.
fn shared(pid: Pid, mapping: &Mapping, entry: &mut VmaEntry, segments: &mut Segments) -> Result<()> {
    let key = (u64::from(mapping.dev.0) << 32 | u64::from(mapping.dev.1), mapping.inode);
    let id = match segments.ids.get(&key) {
        Some(&id) => id,
        None => {
            let path = format!("/proc/{pid}/map_files/{}", map_files_name(mapping));
            let file = File::open(&path).doing(|| format!("open {path}"))?;
            let id = segments.add(mapping.inode, file);
            segments.ids.insert(key, id);
            id
        }
    };
    entry.shmid = id;
    entry.status |= status::ANON_SHARED;
    Ok(())
}

/// An attachment of System V shared memory. The inode of its memory is its id.
fn sysv(pid: Pid, area: &Area, key: u32, entry: &mut VmaEntry, segments: &mut Segments) -> Result<()> {
    let mapping = &area.mapping;
    let Some(known) = &mut segments.sysv else {
        let reason = "System V shared memory is kept only in an IPC namespace that the tree has to itself";
        return Err(unsupported(pid, mapping, reason).with_help(crate::ns::ADVICE));
    };
    let id = i32::try_from(mapping.inode).ok();
    let Some((id, attached)) = id.and_then(|id| Some((id, known.get_mut(&id)?))) else {
        return Err(unsupported(pid, mapping, "its segment is not in the IPC namespace of the tree"));
    };
    attached.found += 1;
    attached.key = key;
    if attached.found == 1 {
        let path = format!("/proc/{pid}/map_files/{}", map_files_name(mapping));
        segments.open_sysv(id, File::open(&path).doing(|| format!("open {path}"))?);
    }
    entry.shmid = id as u64;
    entry.status |= status::SYSV;
    entry.fdflags = Some(if area.flags.contains(VmFlags::MAY_WRITE) { libc::O_RDWR as u32 } else { 0 });
    Ok(())
}

fn map_files_name(mapping: &Mapping) -> String {
    format!("{:x}-{:x}", mapping.range.start, mapping.range.end)
}

/// Areas that cannot be brought back are refused by name.
fn refuse(pid: Pid, area: &Area) -> Result<()> {
    let refused = [
        (VmFlags::SHADOW_STACK, "shadow stacks are not supported yet"),
        (VmFlags::MTE, "tagged memory is not supported yet"),
    ];
    // Memory that may only be executed has a key that the kernel chooses.
    let only_executed = area.mapping.prot.bits() == libc::PROT_EXEC;
    let keyed = area.protection_key.is_some_and(|key| key != 0) && !only_executed;
    let keyed = keyed.then_some("memory with a protection key (pkey_mprotect) is not supported yet");
    let flagged = refused.iter().find(|(flag, _)| area.flags.contains(*flag)).map(|(_, reason)| *reason);
    match flagged.or(keyed) {
        Some(reason) => Err(unsupported(pid, &area.mapping, reason)),
        None => Ok(()),
    }
}

fn unsupported(pid: Pid, mapping: &Mapping, reason: &str) -> Error {
    let name = String::from_utf8_lossy(&mapping.name);
    let range = mapping.range;
    Error::unsupported(format!("task {pid}: memory area {:x}-{:x} ({name})", range.start, range.end), reason)
}

/// MAP_* bits with which the area was mapped.
fn flags(area: &Area) -> u32 {
    let mapping = &area.mapping;
    let mut flags = if mapping.shared { libc::MAP_SHARED } else { libc::MAP_PRIVATE };
    if !matches!(mapping.kind(), Name::File | Name::Memfd(_)) {
        flags |= libc::MAP_ANONYMOUS;
    }
    let others = [
        (VmFlags::GROWS_DOWN, libc::MAP_GROWSDOWN),
        (VmFlags::NO_RESERVE, libc::MAP_NORESERVE),
        (VmFlags::LOCKED, libc::MAP_LOCKED),
    ];
    for (flag, bit) in others {
        if area.flags.contains(flag) {
            flags |= bit;
        }
    }
    if area.flags.contains(VmFlags::DROPPABLE) {
        flags = flags & !libc::MAP_PRIVATE | vma::MAP_DROPPABLE;
    }
    if area.flags.contains(VmFlags::HUGETLB) {
        flags |= libc::MAP_HUGETLB | (area.usage.page_size.max(1).trailing_zeros() as i32 + 10) << libc::MAP_HUGE_SHIFT;
    }
    flags as u32
}

/// madvise(2) advice in force: bit n for advice n.
fn advice(flags: VmFlags) -> Option<u64> {
    let kinds = [
        (VmFlags::RANDOM, libc::MADV_RANDOM),
        (VmFlags::SEQUENTIAL, libc::MADV_SEQUENTIAL),
        (VmFlags::DONT_COPY, libc::MADV_DONTFORK),
        (VmFlags::MERGEABLE, libc::MADV_MERGEABLE),
        (VmFlags::HUGE_PAGE, libc::MADV_HUGEPAGE),
        (VmFlags::NO_HUGE_PAGE, libc::MADV_NOHUGEPAGE),
        (VmFlags::DONT_DUMP, libc::MADV_DONTDUMP),
        (VmFlags::WIPE_ON_FORK, libc::MADV_WIPEONFORK),
    ];
    let bits = kinds.iter().filter(|(flag, _)| flags.contains(*flag)).fold(0, |bits, (_, advice)| bits | 1 << advice);
    (bits != 0).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::smaps;

    /// No CPU of ours has keys: what the kernel shows of them.
    #[test]
    fn memory_with_a_protection_key_is_refused() {
        let area = |prot: &str, key: u32| {
            let line = format!("7fa7a19e4000-7fa7a19e8000 {prot} 00000000 00:00 0 \n");
            let text = format!("{line}Size: 16 kB\nProtectionKey: {key}\nVmFlags: rd wr mr mw me ac \n");
            smaps::parse(text.as_bytes()).expect("an area of smaps").remove(0)
        };
        let refused = |prot, key| refuse(Pid::this(), &area(prot, key)).map_err(|e| e.to_string());
        assert_eq!(refused("rw-p", 0), Ok(()));
        assert_eq!(refused("--xp", 1), Ok(()));
        assert!(refused("rw-p", 1).is_err_and(|e| e.contains("protection key")));
    }
}
