//! The vDSO. Of the same kernel, the running one is moved to where the image had it, and what the program has written
//! into it is written again. Of another, the program keeps the
//! saved one, whose addresses it knows: its functions are redirected to the running kernel's, which goes to a hole.

use super::crew::{Member, Program, run_all};
use super::load::{LiveImage, TaskImage};
use super::needs::{Need, Needs};
use super::tree::Tree;
use crate::core_image;
use crate::error::{Doing, Error, Result};
use crate::image::pagemap::Source;
use crate::sys::{self, RemoteAddr, ptrace};
use crate::vma::status;
use object::{Object, ObjectSymbol};
use stasis_arch::native::redirect;
use std::collections::BTreeMap;

/// The running kernel's vDSO, as every task of the tree has it in its parking area.
pub struct Running {
    bytes: Vec<u8>,
    shape: Shape,
    /// The pieces that wait, in order: address and length; the last is the vDSO, the others its data.
    parked: Vec<(u64, u64)>,
}

/// What makes two vDSOs the same, and what is called in them.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    build_id: Vec<u8>,
    /// Offset and size of each function.
    functions: BTreeMap<String, (u64, u64)>,
}

/// What becomes of the vDSO in one task.
pub enum Fit {
    /// It has none.
    None,
    /// The running kernel's goes there, its data before it.
    Same {
        /// Where the first of them goes.
        to: u64,
        /// Addresses and bytes of the pages that the program has written to.
        written: Vec<(u64, Vec<u8>)>,
        /// Where its protection was changed: address, length, PROT_* bits.
        protected: Vec<(u64, u64, u32)>,
    },
    /// The saved one stays, redirected.
    Foreign(Foreign),
}

/// A vDSO of another kernel.
pub struct Foreign {
    at: u64,
    bytes: Vec<u8>,
    /// Where the running kernel's goes.
    home: u64,
}

impl Running {
    /// Reads it from a task in which it is parked.
    pub fn read(tree: &Tree) -> Result<Running> {
        let (Some(&(at, len)), Some(member)) = (tree.vdso.last(), tree.leaders.first()) else {
            return Err(Error::state("this kernel gives no vDSO"));
        };
        let mut bytes = vec![0; len as usize];
        sys::mem::read_exact(member.tid, RemoteAddr(at), &mut bytes).doing(|| "read this kernel's vDSO")?;
        let shape = Shape::of(&bytes).map_err(|e| Error::state(format!("this kernel's vDSO makes no sense: {e}")))?;
        Ok(Running { bytes, shape, parked: tree.vdso.clone() })
    }

    fn len(&self) -> u64 {
        self.parked.iter().map(|(_, len)| len).sum()
    }

    /// Compares it with what a task had.
    ///
    /// # Errors
    /// A vDSO of another kernel that cannot be redirected.
    pub fn fit(&self, tree: &Tree, task: &TaskImage, live: &LiveImage, needs: &Needs) -> Result<Fit> {
        let special = status::VDSO | status::VVAR;
        let mut wanted = live.mm.vmas.iter().filter(|v| v.status & special != 0);
        let Some(first) = wanted.next() else { return Ok(Fit::None) };
        let (start, end) = (first.start, wanted.next_back().unwrap_or(first).end);
        let together = end - start == self.len();
        let same = |written| Ok(Fit::Same { to: start, written, protected: protected(live) });
        let Some((at, mut bytes)) = saved(live, needs)? else {
            return if together { same(Vec::new()) } else { Err(other(task, "and the images lack it")) };
        };
        if together && bytes == self.bytes {
            return same(Vec::new());
        }
        let written = task.threads[0].extra.vdso_written == Some(true);
        let shape = Shape::of(&bytes).map_err(|e| other(task, &format!("and makes no sense: {e}")))?;
        if together && shape == self.shape {
            // Else it is the CPU that differs, for which the kernel chose other instructions.
            return same(if written { self.differing(at, &bytes) } else { Vec::new() });
        }
        if written {
            return Err(other(task, "and the program has written into it"));
        }
        let home =
            hole(tree, live, self.len()).ok_or_else(|| other(task, "and there is no room for the running one"))?;
        outside(task, at, at + bytes.len() as u64)?;
        self.redirect(&shape, at, &mut bytes, home).map_err(|what| other(task, &what))?;
        Ok(Fit::Foreign(Foreign { at, bytes, home }))
    }

    /// The pages of a saved vDSO, at `at`, that are not those of the running one.
    fn differing(&self, at: u64, bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let page = sys::page_size() as usize;
        let pages = bytes.chunks(page).zip(self.bytes.chunks(page)).enumerate();
        let differing = pages.filter(|(_, (saved, running))| saved != running);
        differing.map(|(n, (saved, _))| (at + (n * page) as u64, saved.to_vec())).collect()
    }

    /// Writes over each function of a saved vDSO.
    fn redirect(&self, shape: &Shape, at: u64, bytes: &mut [u8], home: u64) -> std::result::Result<(), String> {
        let running = home + self.len() - self.bytes.len() as u64;
        for (name, nr) in redirect::FUNCTIONS {
            let Some(&(offset, size)) = shape.functions.get(name) else { continue };
            let code = match self.shape.functions.get(name) {
                Some((target, _)) => redirect::redirect(at.wrapping_add(offset), running + target),
                None => redirect::system_call(name, nr),
            };
            let place = usize::try_from(offset).ok().and_then(|from| bytes.get_mut(from..from + code.len()));
            match place.filter(|_| size >= code.len() as u64) {
                Some(place) => place.copy_from_slice(code.as_bytes()),
                None => return Err(format!("and its {name} is too small to be redirected")),
            }
        }
        Ok(())
    }
}

fn other(task: &TaskImage, what: &str) -> Error {
    Error::state(format!("the vDSO of process {} is of another kernel, {what}", task.pid()))
        .with_help("restore on the kernel on which the process was dumped")
}

/// No thread may stand in the code that is about to change.
fn outside(task: &TaskImage, start: u64, end: u64) -> Result<()> {
    let ip = |t: &super::load::ThreadImage| core_image::regs(&t.core).ok().map(|regs| regs.ip());
    match task.threads.iter().find(|t| ip(t).is_some_and(|ip| (start..end).contains(&ip))) {
        Some(thread) => Err(other(task, &format!("and thread {} was in the middle of it", thread.tid))),
        None => Ok(()),
    }
}

/// Where the vDSO and its data do not have the protection that the kernel gives them.
fn protected(live: &LiveImage) -> Vec<(u64, u64, u32)> {
    let usual = |status: u32| match status & status::VDSO != 0 {
        true => libc::PROT_READ | libc::PROT_EXEC,
        false => libc::PROT_READ,
    };
    let special = live.mm.vmas.iter().filter(|v| v.status & (status::VDSO | status::VVAR) != 0);
    let changed = special.filter(|v| v.prot != usual(v.status) as u32);
    changed.map(|v| (v.start, v.end - v.start, v.prot)).collect()
}

/// The saved pages of a vDSO: address and bytes. `None` when they are not all there.
fn saved(live: &LiveImage, needs: &Needs) -> Result<Option<(u64, Vec<u8>)>> {
    let Some(vma) = live.mm.vmas.iter().find(|v| v.status & status::VDSO != 0) else { return Ok(None) };
    let (start, end) = (vma.start, vma.end);
    const MOST: u64 = 1 << 20;
    let Some(file) = needs.file(Need::Pages(live.pages.pages_id)).filter(|_| end - start <= MOST) else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    for run in &live.pages.runs {
        let (from, to) = (run.vaddr.max(start), (run.vaddr + run.pages * sys::page_size()).min(end));
        let Source::Saved { offset } = run.source else { continue };
        if from >= to || from != start + bytes.len() as u64 {
            continue;
        }
        let mut part = vec![0; (to - from) as usize];
        let read = nix::sys::uio::pread(file, &mut part, (offset + (from - run.vaddr)) as i64);
        if read.doing(|| "read the saved vDSO")? != part.len() {
            return Err(Error::state("the pages file ends within the saved vDSO"));
        }
        bytes.append(&mut part);
    }
    Ok((bytes.len() as u64 == end - start).then_some((start, bytes)))
}

impl Shape {
    fn of(bytes: &[u8]) -> object::Result<Shape> {
        let file = object::read::elf::ElfFile64::<object::Endianness>::parse(bytes)?;
        let base = file.relative_address_base();
        let mut functions = BTreeMap::new();
        for symbol in file.dynamic_symbols().filter(|s| s.is_definition()) {
            let place = (symbol.address().wrapping_sub(base), symbol.size());
            functions.insert(symbol.name()?.to_owned(), place);
        }
        Ok(Shape { build_id: file.build_id()?.unwrap_or_default().to_vec(), functions })
    }
}

/// A hole for the running kernel's vDSO: away from what grows, from the program's areas and from the seed.
fn hole(tree: &Tree, live: &LiveImage, len: u64) -> Option<u64> {
    const LOWEST: u64 = 0x10_0000;
    const AWAY: u64 = 1 << 24;
    let seed = (tree.layout.load, tree.layout.area + tree.layout.len());
    let mut used: Vec<(u64, u64)> = live.mm.vmas.iter().map(|v| (v.start, v.end)).collect();
    used.extend([seed, (live.mm.mm_start_brk, live.mm.mm_brk)]);
    used.push((sys::task_size(), u64::MAX));
    used.sort_unstable();
    let find = |away: u64| {
        let mut before = LOWEST;
        for &(start, end) in &used {
            if start.saturating_sub(before) >= len + 2 * away {
                return Some(before + away);
            }
            before = before.max(end);
        }
        None
    };
    find(AWAY).or_else(|| find(0))
}

impl Fit {
    /// Adds the calls that move the parked vDSO and its data into place, or remove them where the image has none. A
    /// saved vDSO gets its area, writable.
    pub fn place(&self, program: &mut Program, running: &Running) {
        let mut to = match self {
            Fit::None => {
                for (at, len) in &running.parked {
                    program.call(libc::SYS_munmap, &[*at, *len]);
                }
                return;
            }
            Fit::Same { to, .. } => *to,
            Fit::Foreign(foreign) => {
                let prot = (libc::PROT_READ | libc::PROT_WRITE) as u64;
                let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE) as u64;
                let args = [foreign.at, foreign.bytes.len() as u64, prot, flags, u64::MAX, 0];
                program.room(1, 0).call_for(libc::SYS_mmap, &args, foreign.at as i64);
                foreign.home
            }
        };
        for (at, len) in &running.parked {
            let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as u64;
            program.call(libc::SYS_mremap, &[*at, *len, *len, flags, to]);
            to += len;
        }
        if let Fit::Same { protected, .. } = self {
            for (at, len, prot) in protected {
                program.call(libc::SYS_mprotect, &[*at, *len, u64::from(*prot)]);
            }
        }
    }
}

/// Writes again what a program wrote into its vDSO; fills the areas of saved vDSOs and makes them executable.
pub fn finish(tree: &Tree, fits: Vec<(&Member, Fit)>) -> Result<()> {
    let mut programs = Vec::new();
    for (member, fit) in fits {
        let doing = || format!("write the saved vDSO into task {}", member.tid);
        match fit {
            Fit::None => {}
            Fit::Same { written, .. } => {
                for (at, bytes) in written {
                    ptrace::poke_bytes(member.tid, RemoteAddr(at), &bytes).doing(doing)?;
                }
            }
            Fit::Foreign(vdso) => {
                sys::mem::write(member.tid, RemoteAddr(vdso.at), &vdso.bytes).doing(doing)?;
                let mut program = Program::new(&tree.layout);
                let prot = (libc::PROT_READ | libc::PROT_EXEC) as u64;
                program.call(libc::SYS_mprotect, &[vdso.at, vdso.bytes.len() as u64, prot]);
                programs.push((member, program));
            }
        }
    }
    run_all(tree.layout.stub(), &mut programs).map(drop)
}
