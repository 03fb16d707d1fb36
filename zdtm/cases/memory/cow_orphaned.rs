//! Two children whose common parent wrote and died share its pages still; the grandparent has others at the same place.
//@ timeout: 60
use crate::gate::{Gate, Verdict, check_eq, fail};
use crate::tools::wait_ok;
use crate::tools_maps::{check_sharing, total_pss};
use crate::tools_memory::{Area, mix, page};
use crate::tools_relatives::{arrive, await_word, shared_word, until};
use nix::sys::prctl::set_child_subreaper;
use nix::unistd::{Pid, getppid};

pub fn run(gate: &mut Gate) -> Verdict {
    set_child_subreaper(true)?;
    let (word, pids) = (shared_word()?, Area::shared(1)?);
    let pages = (16 << 20) / page();
    let area = Area::private(pages)?;
    area.fill(1);
    let me = nix::unistd::getpid();
    let middle = gate.fork(|gate| {
        area.part(0..pages / 2).fill(2);
        let first = gate.fork(|gate| grandchild(gate, word, area, me, 3))?;
        let second = gate.fork(|gate| grandchild(gate, word, area, me, 4))?;
        pids.set(0, (first.as_raw() as u64) << 32 | second.as_raw() as u64);
        Ok(())
    })?;
    wait_ok(middle)?;
    await_word(word, 2)?;
    let both = pids.word(0);
    let grandchildren = [Pid::from_raw((both >> 32) as i32), Pid::from_raw(both as u32 as i32)];
    let before = total_pss(&grandchildren)?;
    gate.checkpoint()?;
    let after = total_pss(&grandchildren)?;
    arrive(word);
    grandchildren.into_iter().try_for_each(wait_ok)?;
    area.check_fill("the grandparent's pages", 1)?;
    check_sharing(before, after)
}

/// Waits until it has been reparented, then passes the gate and checks what it inherited.
fn grandchild(gate: &mut Gate, word: &std::sync::atomic::AtomicU32, area: Area, reaper: Pid, mark: u64) -> Verdict {
    until("the parent to die", || Ok(getppid() == reaper))?;
    area.set(1, mark);
    arrive(word);
    gate.wait();
    await_word(word, 3)?;
    check_eq("the page that both wrote", area.word(1), mark)?;
    let half = area.pages() / 2;
    if area.word(0) != mix(2, 0) {
        return fail("the dead parent's first page is lost");
    }
    for n in 2..half {
        check_eq("a page of the dead parent", area.word(n), mix(2, (n * page() / 8) as u64))?;
    }
    (half..area.pages())
        .try_for_each(|n| check_eq("a page of the grandparent", area.word(n), mix(1, (n * page() / 8) as u64)))
}
