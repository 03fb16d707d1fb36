//! The build id of an ELF file: the GNU note by which two builds of a program are told apart.

use crate::sys;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, FileKind, ReadCache, elf};
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

/// The longest segment of notes that is looked at, bytes.
const MAX_NOTES: u64 = 1 << 20;

/// The build id of a file, as words of 32 bits in little endian order, the last one padded with zeros; `None` for a
/// file that is no ELF or has none. `fd` may be an O_PATH descriptor.
pub fn read(fd: BorrowedFd<'_>) -> sys::Result<Option<Vec<u32>>> {
    let file = File::from(super::pipe_data::reopen(fd, libc::O_RDONLY | libc::O_NONBLOCK)?);
    let mut magic = [0; 4];
    if file.read_exact_at(&mut magic, 0).is_err() || magic != elf::ELFMAG {
        return Ok(None);
    }
    let data = ReadCache::new(file);
    let id = match FileKind::parse(&data) {
        Ok(FileKind::Elf32) => note::<elf::FileHeader32<Endianness>>(&data),
        Ok(FileKind::Elf64) => note::<elf::FileHeader64<Endianness>>(&data),
        _ => None,
    };
    Ok(id.map(words))
}

fn note<H: FileHeader<Endian = Endianness>>(data: &ReadCache<File>) -> Option<Vec<u8>> {
    let header = H::parse(data).ok()?;
    let endian = header.endian().ok()?;
    for segment in header.program_headers(endian, data).ok()? {
        if segment.p_type(endian) != elf::PT_NOTE || segment.p_filesz(endian).into() > MAX_NOTES {
            continue;
        }
        let mut notes = segment.notes(endian, data).ok()??;
        while let Ok(Some(note)) = notes.next() {
            if note.name() == elf::ELF_NOTE_GNU && note.n_type(endian) == elf::NT_GNU_BUILD_ID {
                return Some(note.desc().to_vec());
            }
        }
    }
    None
}

fn words(id: Vec<u8>) -> Vec<u32> {
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
    id.chunks(4).map(word).collect()
}

/// The build id as people write it, for messages.
pub fn text(words: &[u32]) -> String {
    words.iter().flat_map(|word| word.to_le_bytes()).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn the_build_id_is_what_criu_wrote() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/criu-4.2");
        let json = std::fs::read_to_string(format!("{dir}/single.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let theirs: Vec<u32> = json["files.img"]["entries"][0]["reg"]["build_id"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_u64().unwrap() as u32)
            .collect();
        assert_eq!(theirs.len(), 5);
        let file = File::open(format!("{dir}/fixture")).unwrap();
        assert_eq!(read(file.as_fd()).unwrap(), Some(theirs.clone()));
        assert_eq!(text(&theirs), "76e6dd71bdb5baf7ae2622e29089217f409ad5bd");
    }

    #[test]
    fn other_files_have_none() {
        let dir = tempfile::tempdir().unwrap();
        let elf = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/criu-4.2/fixture")).unwrap();
        let check = |bytes: &[u8]| {
            let path = dir.path().join("file");
            std::fs::write(&path, bytes).unwrap();
            read(File::open(path).unwrap().as_fd()).unwrap()
        };
        assert_eq!(check(b""), None);
        assert_eq!(check(b"\x7fELF"), None);
        assert_eq!(check(&elf[..64]), None);
        assert!(check(&elf[..4096]).is_some(), "the note is in the first page");
        // Every header byte wrong in turn: no panic, whatever the answer.
        for at in 4..1024 {
            let mut bytes = elf[..4096].to_vec();
            bytes[at] ^= 0xff;
            check(&bytes);
        }
    }

    #[test]
    fn odd_lengths_are_padded() {
        assert_eq!(words(vec![1, 2, 3, 4, 5]), [0x0403_0201, 5]);
        assert_eq!(text(&[0x0403_0201]), "01020304");
    }
}
