//! `cpuinfo.img`: a CPU as CRIU's message, and the file by itself, which may lie in a directory without a dump.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{CpuInfo, X86Info};
use crate::image::framing::{Order, Reader, push_entry, push_head};
use crate::image::proto::cpuinfo_ppc64_entry::Endianness;
use crate::image::proto::{CpuinfoEntry, CpuinfoPpc64Entry, CpuinfoS390Entry, CpuinfoX86Entry};
use crate::image::{ImageError, kinds, manifest, out};

/// The message that describes `cpu`; on CPUs for which the format has none it is empty.
pub fn to_entry(cpu: &CpuInfo) -> CpuinfoEntry {
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
        CpuInfo::Hwcap(hwcap) => match std::env::consts::ARCH {
            "powerpc64" => {
                let little = cfg!(target_endian = "little");
                let endian = if little { Endianness::Littleendian } else { Endianness::Bigendian };
                entry.ppc64_entry.push(CpuinfoPpc64Entry { endian: endian as i32, hwcap: hwcap.clone() });
            }
            "s390x" => entry.s390_entry.push(CpuinfoS390Entry { hwcap: hwcap.clone() }),
            _ => {}
        },
    }
    entry
}

/// The CPU that a message describes; nothing if it describes none, or a POWER of the other byte order.
pub fn from_entry(entry: &CpuinfoEntry) -> Option<CpuInfo> {
    if let Some(x86) = entry.x86_entry.first() {
        return Some(CpuInfo::X86(X86Info {
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
        }));
    }
    let little = Endianness::Littleendian as i32;
    let power = entry.ppc64_entry.first().filter(|p| (p.endian == little) == cfg!(target_endian = "little"));
    let hwcap = power.map(|p| &p.hwcap).or_else(|| entry.s390_entry.first().map(|s| &s.hwcap))?;
    Some(CpuInfo::Hwcap(hwcap.clone()))
}

/// Writes `cpuinfo.img` into `dir`; a manifest that is there is renewed, so that the dump beside it stays whole.
pub fn write(dir: &Path, cpu: &CpuInfo) -> Result<(), ImageError> {
    let path = dir.join(kinds::CPUINFO.single().to_string());
    let mut bytes = Vec::new();
    push_head(&mut bytes, kinds::CPUINFO.kind(), Order::NATIVE);
    if !push_entry(&mut bytes, &to_entry(cpu), Order::NATIVE) {
        return Err(ImageError::invalid(&path, 0, "the CPU's features do not fit into an entry"));
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o644).custom_flags(libc::O_NOFOLLOW);
    let mut file = options.open(&path).map_err(|e| ImageError::io("create", &path, e))?;
    file.write_all(&bytes).map_err(|e| ImageError::io("write", &path, e))?;
    if fs::exists(dir.join(manifest::NAME)).map_err(|e| ImageError::io("look for the manifest of", dir, e))? {
        out::reseal(dir)?;
    }
    Ok(())
}

/// Reads `cpuinfo.img` of `dir`.
pub fn read(dir: &Path) -> Result<CpuInfo, ImageError> {
    let path = dir.join(kinds::CPUINFO.single().to_string());
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let open = options.open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (size, file): (u64, File) = open.map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => ImageError::Missing { file: path.clone() },
        _ => ImageError::io("open", &path, e),
    })?;
    parse(BufReader::new(file), &path, size)
}

fn parse(input: impl Read, path: &Path, size: u64) -> Result<CpuInfo, ImageError> {
    let mut reader = Reader::new(input, path, size, kinds::CPUINFO.kind())?;
    let entry: Option<CpuinfoEntry> = reader.entry()?;
    entry.and_then(|e| from_entry(&e)).ok_or_else(|| reader.invalid("it describes no CPU that is known here"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::cpu::here;

    #[test]
    fn this_cpu_is_read_back_as_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let cpu = here().expect("a CPU");
        write(dir.path(), &cpu).expect("written");
        assert_eq!(read(dir.path()).expect("read"), cpu);
        assert_eq!(from_entry(&to_entry(&cpu)), Some(cpu));
    }

    #[test]
    fn absent_empty_and_foreign_files_are_errors() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(matches!(read(dir.path()), Err(ImageError::Missing { .. })));
        for bytes in [&b""[..], b"not an image at all"] {
            assert!(parse(bytes, Path::new("cpuinfo.img"), bytes.len() as u64).is_err());
        }
        let mut bytes = Vec::new();
        push_head(&mut bytes, kinds::CPUINFO.kind(), Order::NATIVE);
        assert!(parse(bytes.as_slice(), Path::new("cpuinfo.img"), bytes.len() as u64).is_err());
        assert!(push_entry(&mut bytes, &CpuinfoEntry::default(), Order::NATIVE));
        let error = parse(bytes.as_slice(), Path::new("cpuinfo.img"), bytes.len() as u64).expect_err("no CPU");
        assert!(error.to_string().contains("no CPU"), "{error}");
    }
}
