//! `cpuinfo.img`: a CPU as CRIU's message, or `stasis-cpu.img` where CRIU has none for it. The command `cpuinfo` has the
//! file by itself, which may lie in a directory without a dump.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use prost::Message;

use super::hwcap::{HwcapInfo, Machine};
use super::{CpuInfo, X86Info};
use crate::image::framing::{Order, Reader, push_entry, push_head};
use crate::image::proto::cpuinfo_ppc64_entry::Endianness;
use crate::image::proto::{
    CpuinfoEntry, CpuinfoPpc64Entry, CpuinfoS390Entry, CpuinfoX86Entry, StasisCpuAarch64, StasisCpuEntry,
};
use crate::image::{ImageError, Name, NewImageDir, kinds, manifest, out};

/// What an image says of a CPU.
#[derive(Debug, PartialEq)]
enum Entry {
    /// In `cpuinfo.img`.
    Criu(CpuinfoEntry),
    /// In `stasis-cpu.img`.
    Ours(StasisCpuEntry),
}

impl From<&CpuInfo> for Entry {
    fn from(cpu: &CpuInfo) -> Entry {
        let mut entry = CpuinfoEntry::default();
        match cpu {
            CpuInfo::X86(x86) => entry.x86_entry.push(CpuinfoX86Entry {
                vendor_id: x86.vendor as i32,
                cpu_family: x86.family,
                model: x86.model,
                stepping: x86.stepping,
                capability_ver: x86.layout,
                capability: x86.words.clone(),
                model_id: x86.model_id.clone(),
                xfeatures_mask: x86.xfeatures,
                xsave_size: x86.xsave_size,
                xsave_size_max: x86.xsave_size_max,
            }),
            CpuInfo::Hwcap(cpu) => match cpu.machine {
                Machine::Power { little } => {
                    let endian = if little { Endianness::Littleendian } else { Endianness::Bigendian };
                    entry.ppc64_entry.push(CpuinfoPpc64Entry { endian: endian as i32, hwcap: cpu.words.clone() });
                }
                Machine::S390x => entry.s390_entry.push(CpuinfoS390Entry { hwcap: cpu.words.clone() }),
                Machine::Aarch64 => {
                    let aarch64 = StasisCpuAarch64 {
                        hwcap: cpu.words.clone(),
                        sve_length: cpu.sve.clone(),
                        sme_length: cpu.sme.clone(),
                    };
                    return Entry::Ours(StasisCpuEntry { aarch64: Some(aarch64) });
                }
                Machine::Other => return Entry::Ours(StasisCpuEntry::default()),
            },
        }
        Entry::Criu(entry)
    }
}

impl Entry {
    /// The CPU that is described; nothing if none is that is known here.
    fn cpu(&self) -> Option<CpuInfo> {
        match self {
            Entry::Criu(entry) => {
                let x86 = entry.x86_entry.first().map(x86);
                let power = || {
                    let power = entry.ppc64_entry.first()?;
                    let little = power.endian == Endianness::Littleendian as i32;
                    Some(of_words(Machine::Power { little }, &power.hwcap))
                };
                let s390x = || entry.s390_entry.first().map(|s| of_words(Machine::S390x, &s.hwcap));
                x86.or_else(|| power().or_else(s390x).map(CpuInfo::Hwcap))
            }
            Entry::Ours(entry) => entry.aarch64.as_ref().map(|arm| {
                let (sve, sme) = (arm.sve_length.clone(), arm.sme_length.clone());
                CpuInfo::Hwcap(HwcapInfo { sve, sme, ..of_words(Machine::Aarch64, &arm.hwcap) })
            }),
        }
    }
}

fn of_words(machine: Machine, words: &[u64]) -> HwcapInfo {
    HwcapInfo { machine, words: words.to_vec(), sve: Vec::new(), sme: Vec::new() }
}

fn x86(x86: &CpuinfoX86Entry) -> CpuInfo {
    CpuInfo::X86(X86Info {
        vendor: u32::try_from(x86.vendor_id).unwrap_or(0),
        family: x86.cpu_family,
        model: x86.model,
        stepping: x86.stepping,
        layout: x86.capability_ver,
        words: x86.capability.clone(),
        model_id: x86.model_id.clone(),
        xfeatures: x86.xfeatures_mask,
        xsave_size: x86.xsave_size,
        xsave_size_max: x86.xsave_size_max,
    })
}

/// Writes what `cpu` is into a new directory of images.
pub fn save(out: &NewImageDir, cpu: &CpuInfo) -> Result<(), ImageError> {
    match Entry::from(cpu) {
        Entry::Criu(entry) => out.write_one(kinds::CPUINFO.single(), &entry),
        Entry::Ours(entry) => out.write_one(kinds::STASIS_CPU.single(), &entry),
    }
}

/// Writes what `cpu` is into `dir`; a manifest that is there is renewed, so that the dump beside it stays whole.
pub fn write(dir: &Path, cpu: &CpuInfo) -> Result<(), ImageError> {
    match Entry::from(cpu) {
        Entry::Criu(entry) => put(dir, kinds::CPUINFO.single(), &entry)?,
        Entry::Ours(entry) => put(dir, kinds::STASIS_CPU.single(), &entry)?,
    }
    if fs::exists(dir.join(manifest::NAME)).map_err(|e| ImageError::io("look for the manifest of", dir, e))? {
        out::reseal(dir)?;
    }
    Ok(())
}

fn put<M: Message>(dir: &Path, name: Name<M>, entry: &M) -> Result<(), ImageError> {
    let path = dir.join(name.to_string());
    let mut bytes = Vec::new();
    push_head(&mut bytes, name.kind, Order::NATIVE);
    if !push_entry(&mut bytes, entry, Order::NATIVE) {
        return Err(ImageError::invalid(&path, 0, "the CPU's features do not fit into an entry"));
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o644).custom_flags(libc::O_NOFOLLOW);
    let mut file = options.open(&path).map_err(|e| ImageError::io("create", &path, e))?;
    file.write_all(&bytes).map_err(|e| ImageError::io("write", &path, e))
}

/// The CPU that the images in `dir` are of; nothing where no image tells.
pub fn find(dir: &Path) -> Result<Option<CpuInfo>, ImageError> {
    let criu = get(dir, kinds::CPUINFO.single(), Entry::Criu)?;
    match criu {
        Some(cpu) => Ok(Some(cpu)),
        None => get(dir, kinds::STASIS_CPU.single(), Entry::Ours),
    }
}

/// The CPU that the images in `dir` are of.
pub fn read(dir: &Path) -> Result<CpuInfo, ImageError> {
    let file = dir.join(kinds::CPUINFO.single().to_string());
    find(dir)?.ok_or(ImageError::Missing { file })
}

fn get<M>(dir: &Path, name: Name<M>, entry: fn(M) -> Entry) -> Result<Option<CpuInfo>, ImageError>
where
    M: prost::Message + prost::Name + Default,
{
    let path = dir.join(name.to_string());
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let open = options.open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (size, file): (u64, File) = match open {
        Ok(opened) => opened,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(ImageError::io("open", &path, e)),
    };
    parse(BufReader::new(file), &path, size, name, entry).map(Some)
}

fn parse<M>(
    input: impl Read,
    path: &Path,
    size: u64,
    name: Name<M>,
    entry: fn(M) -> Entry,
) -> Result<CpuInfo, ImageError>
where
    M: prost::Message + prost::Name + Default,
{
    let mut reader = Reader::new(input, path, size, name.kind)?;
    let found: Option<M> = reader.entry()?;
    found.and_then(|e| entry(e).cpu()).ok_or_else(|| reader.invalid("it describes no CPU that is known here"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::cpu::here;

    #[test]
    fn this_cpu_is_read_back_as_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let cpu = here().expect("a CPU");
        assert_eq!(find(dir.path()).expect("nothing"), None);
        write(dir.path(), &cpu).expect("written");
        assert_eq!(read(dir.path()).expect("read"), cpu);
    }

    #[test]
    fn every_cpu_is_what_its_image_says() {
        let words = vec![1 << 22 | 0xff, 2];
        let plain = |machine| of_words(machine, &words);
        let power = |little| plain(Machine::Power { little });
        let arm = HwcapInfo { sve: vec![16, 32], sme: vec![64], ..plain(Machine::Aarch64) };
        for cpu in [arm, power(true), power(false), plain(Machine::S390x)].map(CpuInfo::Hwcap) {
            let dir = tempfile::tempdir().expect("a directory");
            write(dir.path(), &cpu).expect("written");
            assert_eq!(read(dir.path()).expect("read"), cpu);
            let ours = dir.path().join("stasis-cpu.img").exists();
            assert_eq!(ours, !dir.path().join("cpuinfo.img").exists(), "one of them");
        }
    }

    #[test]
    fn absent_empty_and_foreign_files_are_errors() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(matches!(read(dir.path()), Err(ImageError::Missing { .. })));
        let parse = |bytes: &[u8]| {
            let path = Path::new("cpuinfo.img");
            super::parse(bytes, path, bytes.len() as u64, kinds::CPUINFO.single(), Entry::Criu)
        };
        for bytes in [&b""[..], b"not an image at all"] {
            assert!(parse(bytes).is_err());
        }
        let mut bytes = Vec::new();
        push_head(&mut bytes, kinds::CPUINFO.kind(), Order::NATIVE);
        assert!(parse(&bytes).is_err());
        assert!(push_entry(&mut bytes, &CpuinfoEntry::default(), Order::NATIVE));
        let error = parse(&bytes).expect_err("no CPU");
        assert!(error.to_string().contains("no CPU"), "{error}");
    }
}
