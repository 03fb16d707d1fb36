//! Dumps made on other CPUs (in QEMU): this one decodes them, whatever their byte order, and says why it cannot restore
//! them.

use serde_json::Value as Json;
use stasis::image::kinds::{CORE, IDS, INVENTORY, MM, PAGES, PIPES_DATA, PSTREE};
use stasis::image::proto::CoreEntry;
use stasis::image::{ImageDir, PageMap, Verify};
use stasis_tests::engine;
use std::fs;
use std::path::{Path, PathBuf};

/// What is known of a dump of the case `pipes/between_threads`.
struct Guest {
    name: &'static str,
    /// The CPU in CRIU's messages.
    march: &'static str,
    /// The first word of an inventory as it lies in the file.
    magic: [u8; 4],
    /// Program counter, stack pointer and the registers of read(2)'s arguments, of a thread.
    registers: fn(&CoreEntry) -> Option<Registers>,
    /// The length of its system call instruction.
    call: u64,
}

struct Registers {
    ip: u64,
    sp: u64,
    arguments: [u64; 3],
}

const GUESTS: [Guest; 3] = [
    Guest {
        name: "aarch64",
        march: "AARCH64",
        magic: [0x16, 0x31, 0x31, 0x58],
        registers: |core| {
            let r = &core.ti_aarch64.as_ref()?.gpregs;
            Some(Registers { ip: r.pc, sp: r.sp, arguments: *r.regs.first_chunk()? })
        },
        call: 4,
    },
    Guest {
        name: "ppc64le",
        march: "PPC64",
        magic: [0x16, 0x31, 0x31, 0x58],
        registers: |core| {
            let r = &core.ti_ppc64.as_ref()?.gpregs;
            Some(Registers { ip: r.nip, sp: *r.gpr.get(1)?, arguments: *r.gpr.get(3..)?.first_chunk()? })
        },
        call: 4,
    },
    Guest {
        name: "s390x",
        march: "S390",
        magic: [0x58, 0x31, 0x31, 0x16],
        registers: |core| {
            let r = &core.ti_s390.as_ref()?.gpregs;
            Some(Registers { ip: r.psw_addr, sp: *r.gprs.get(15)?, arguments: *r.gprs.get(2..)?.first_chunk()? })
        },
        call: 2,
    },
];

/// The bytes that wait in the one pipe.
const WAITING: &[u8] = b"for the other thread";
/// How many bytes the thread asks the other pipe for.
const ASKED: u64 = 4321;
/// All guests have pages of this size.
const PAGE: u64 = 4096;

impl Guest {
    fn path(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/guests").join(self.name)
    }

    fn dir(&self) -> ImageDir {
        ImageDir::open(&self.path()).unwrap()
    }

    /// A file as `stasis show` prints it.
    fn shown(&self, name: &str) -> Json {
        let output = engine::run(&["show", "--json", self.path().join(name).to_str().unwrap()]).unwrap();
        assert!(output.status.success(), "{}: {name}: {}", self.name, engine::said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

#[test]
fn the_framing_is_of_the_machine_byte_order_and_the_sums_are_right() {
    for guest in GUESTS {
        let inventory = fs::read(guest.path().join(INVENTORY.single().to_string())).unwrap();
        assert_eq!(inventory[..4], guest.magic, "{}", guest.name);
        let dir = guest.dir();
        assert!(dir.verify(Verify::All).unwrap(), "{}", guest.name);
        assert_eq!(dir.manifest().unwrap().head().arch, guest.name);
        assert_eq!(u64::from(dir.manifest().unwrap().head().page_size), PAGE, "{}", guest.name);
    }
}

#[test]
fn tasks_and_registers() {
    for guest in GUESTS {
        let shown = guest.shown("pstree.img");
        let process = &shown["entries"][0];
        let threads: Vec<u64> = process["threads"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap()).collect();
        let pid = process["pid"].as_u64().unwrap();
        assert_eq!((threads.len(), threads[0]), (2, pid), "{}", guest.name);
        // Started by setsid(1).
        assert_eq!((&process["pgid"], &process["sid"]), (&pid.into(), &pid.into()), "{}", guest.name);
        let dir = guest.dir();
        let mm = dir.read_one(MM.of(pid)).unwrap();
        for tid in threads {
            assert_eq!(guest.shown(&format!("core-{tid}.img"))["entries"][0]["mtype"], guest.march);
            let core: CoreEntry = dir.read_one(CORE.of(tid as u32)).unwrap();
            let now = (guest.registers)(&core).expect("registers of this CPU");
            // Both are in calls, in the program's own code, which are made again.
            let code = mm.vmas.iter().find(|vma| (vma.start..vma.end).contains(&now.ip)).expect("an area of the code");
            assert_eq!((code.prot as i32 & libc::PROT_EXEC, now.ip % guest.call), (libc::PROT_EXEC, 0));
            let stack = mm.vmas.iter().find(|vma| (vma.start..vma.end).contains(&now.sp)).expect("a stack");
            assert_eq!(stack.prot as i32, libc::PROT_READ | libc::PROT_WRITE, "{}", guest.name);
            if u64::from(tid as u32) != pid {
                let [fd, buffer, count] = now.arguments;
                assert_eq!(count, ASKED, "{}", guest.name);
                assert!(mm.vmas.iter().any(|vma| (vma.start..vma.end).contains(&buffer)), "{}", guest.name);
                let table = guest.shown(&format!("fdinfo-{}.img", dir.read_one(IDS.of(pid)).unwrap().files_id));
                let entries = table["entries"].as_array().unwrap();
                let open = entries.iter().find(|e| e["fd"].as_u64() == Some(fd)).expect("the descriptor");
                assert_eq!(open["type"], "PIPE", "{}", guest.name);
            }
        }
    }
}

#[test]
fn areas_and_pages() {
    for guest in GUESTS {
        let dir = guest.dir();
        let pid = dir.read_one(PSTREE.single()).unwrap().pid;
        let mm = dir.read_one(MM.of(u64::from(pid))).unwrap();
        assert!(mm.vmas.iter().all(|vma| vma.start < vma.end && vma.start % PAGE == 0 && vma.end % PAGE == 0));
        assert!(mm.vmas.is_sorted_by(|a, b| a.end <= b.start), "{}", guest.name);
        assert!(mm.vmas.iter().any(|vma| (vma.start..vma.end).contains(&mm.mm_start_code)), "{}", guest.name);
        let map = PageMap::read(&dir, stasis::image::kinds::PAGEMAP.of(u64::from(pid)), PAGE).unwrap().unwrap();
        let (_, size) = dir.raw(PAGES.of(map.pages_id)).unwrap();
        assert_eq!(map.saved, size, "{}", guest.name);
        for run in &map.runs {
            let inside = mm.vmas.iter().any(|vma| (vma.start..vma.end).contains(&run.vaddr));
            assert!(inside, "{}: pages at {:#x} in no area", guest.name, run.vaddr);
        }
    }
}

#[test]
fn what_is_in_the_pipe() {
    for guest in GUESTS {
        let pipes = guest.dir().read_all_with(PIPES_DATA.single(), |pipe| pipe.bytes.into()).unwrap();
        let full: Vec<&[u8]> = pipes.iter().map(|(_, data)| data.as_slice()).filter(|data| !data.is_empty()).collect();
        assert_eq!(full, [WAITING], "{}", guest.name);
        let summary = engine::run(&["show", guest.path().to_str().unwrap()]).unwrap();
        let summary = String::from_utf8(summary.stdout).unwrap();
        assert!(summary.contains(guest.march) && summary.contains("tasks: 1, threads: 2"), "{summary}");
    }
}

#[test]
fn a_restore_names_both_cpus() {
    if let Some(why) = engine::lacking() {
        eprintln!("skipped: {why}");
        return;
    }
    for guest in GUESTS.iter().filter(|guest| guest.name != here().as_str()) {
        let images = tempfile::tempdir().unwrap();
        for file in fs::read_dir(guest.path()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), images.path().join(file.file_name())).unwrap();
        }
        let output = engine::run(&["restore", "-D", images.path().to_str().unwrap()]).unwrap();
        let said = engine::said(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let wanted = format!("the images were made on {} and this machine is {}", guest.name, here());
        assert!(said.contains(&wanted), "{said}");
    }
}

/// This CPU as uname(2) names it.
fn here() -> String {
    nix::sys::utsname::uname().unwrap().machine().to_string_lossy().into_owned()
}
