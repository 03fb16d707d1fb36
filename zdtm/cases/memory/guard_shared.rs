//! Guard regions (MADV_GUARD_INSTALL) of every kind of area that may have them: shared memory, files shared and private,
//! memory without access, droppable memory, memory locked afterwards; of relatives, each its own.
//@ needs: [cap:ipc_lock, kernel:6.15]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_maps::locks;
use crate::tools_memory::{Area, NONE, R, RW, mix, page, read_fault, write_fault};
use crate::tools_relatives::{arrive, await_word, shared_word};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use std::os::unix::fs::FileExt;

const MADV_GUARD_INSTALL: i32 = 102;
const MADV_GUARD_REMOVE: i32 = 103;
const MAP_DROPPABLE: i32 = 0x08;
const PAGES: usize = 8;

/// Pages 1 to 3 and 7 are guards.
fn is_guard(n: usize) -> bool {
    (1..4).contains(&n) || n == 7
}

fn check_guards(what: &str, area: &Area) -> Verdict {
    for n in 0..PAGES {
        let want = is_guard(n).then_some(Signal::SIGSEGV);
        check_eq(&format!("reading page {n} of {what}"), read_fault(area.at(n))?, want)?;
    }
    Ok(())
}

/// What the page map says.
fn shown_as_guard(area: &Area, n: usize) -> Verdict<bool> {
    const GUARD: u64 = 1 << 58;
    let mut word = [0; 8];
    std::fs::File::open("/proc/self/pagemap")?.read_exact_at(&mut word, (area.at(n) / page() * 8) as u64)?;
    Ok(u64::from_ne_bytes(word) & GUARD != 0)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let path = gate.dir().join("file");
    std::fs::write(&path, vec![0; PAGES * page()])?;
    let file = std::fs::File::options().read(true).write(true).open(&path)?;
    let kinds = [
        ("shared memory", Area::shared(PAGES)?),
        ("a shared file", Area::file(PAGES, RW, libc::MAP_SHARED, &file, 0)?),
        ("a shared file that is only read", Area::file(PAGES, R, libc::MAP_SHARED, &file, 0)?),
        ("a private file", Area::file(PAGES, RW, libc::MAP_PRIVATE, &file, 0)?),
        ("a private file that is only read", Area::file(PAGES, R, libc::MAP_PRIVATE, &file, 0)?),
        ("locked memory", Area::private(PAGES)?),
    ];
    let (shared, locked) = (kinds[0].1, kinds[5].1);
    let closed = Area::anonymous(PAGES, NONE, libc::MAP_PRIVATE)?;
    let closed_shared = Area::anonymous(PAGES, NONE, libc::MAP_SHARED)?;
    shared.fill(1);
    for area in kinds.iter().map(|(_, area)| area).chain([&closed, &closed_shared]) {
        area.part(1..4).advise(MADV_GUARD_INSTALL)?;
        area.part(7..8).advise(MADV_GUARD_INSTALL)?;
    }
    // The kernel says that it could not bring the guards in, and locks the area all the same.
    // SAFETY: locks memory of this case.
    let lock = unsafe { libc::mlock(locked.at(0) as *const _, PAGES * page()) };
    check_eq("locking an area with guards", Errno::result(lock), Err(Errno::ENOMEM))?;
    check_eq("locks of the locked area", locks(locked.at(0))?, vec!["lo".to_owned()])?;
    let child = gate.fork(|gate| {
        shared.part(7..8).advise(MADV_GUARD_REMOVE)?;
        arrive(word);
        gate.wait();
        await_word(word, 2)?;
        check_eq("the child's page whose guard it removed", read_fault(shared.at(7))?, None)?;
        check_eq("the child's guard", read_fault(shared.at(1))?, Some(Signal::SIGSEGV))?;
        check_eq("the page under the guard", shared.word(7), mix(1, (7 * page() / size_of::<u64>()) as u64))
    })?;
    await_word(word, 1)?;
    // A child has none of it, so that no child can try it.
    let droppable = Area::anonymous(PAGES, RW, MAP_DROPPABLE)?;
    droppable.part(1..4).advise(MADV_GUARD_INSTALL)?;
    gate.checkpoint()?;
    for n in 0..PAGES {
        check_eq(
            &format!("page {n} of droppable memory is a guard"),
            shown_as_guard(&droppable, n)?,
            (1..4).contains(&n),
        )?;
    }
    for (what, area) in &kinds {
        check_guards(what, area)?;
    }
    check_eq("writing a page of shared memory", write_fault(shared.at(0))?, None)?;
    check_eq("writing a guard of shared memory", write_fault(shared.at(2))?, Some(Signal::SIGSEGV))?;
    check_eq("locks of the locked area", locks(locked.at(0))?, vec!["lo".to_owned()])?;
    for (what, area) in [("private memory without access", closed), ("shared memory without access", closed_shared)] {
        area.protect(RW)?;
        check_guards(what, &area)?;
    }
    shared.part(1..4).advise(MADV_GUARD_REMOVE)?;
    shared.part(7..8).advise(MADV_GUARD_REMOVE)?;
    shared.check_fill("shared memory, the pages under its guards too", 1)?;
    arrive(word);
    wait_ok(child)
}
