//! Several contexts: of different sizes, one moved by its program, one gone, one with events.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_aio::{Context, Request};
use crate::tools_memory::{Area, page};
use nix::errno::Errno;

pub fn run(gate: &mut Gate) -> Verdict {
    let file = std::fs::File::create(gate.path("written"))?;
    let all = [1, 2000, 60, 500].map(Context::new).into_iter().collect::<Result<Vec<_>, _>>()?;
    let (small, large, gone, moved) = (all[0], all[1], all[2], all[3]);
    gone.destroy()?;
    let pages = (moved.header(1) as usize * 32 + 32) / page();
    let place = Area::private(pages)?;
    let ring = Area::at_address(moved.0, pages);
    ring.remap(pages, libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED, place.at(0))?;
    let moved = Context(place.at(0));
    let requests: Vec<_> = (0..1500).map(|n| Request::write(n, &file, b"x")).collect();
    check_eq("requests taken", large.submit(&requests)?, 1500)?;
    check_eq("the first of them", large.take(1000)?, (0..1000).collect())?;
    small.submit(&[Request::write(3, &file, b"y")])?;
    gate.checkpoint()?;
    check_eq("the small one", small.take(9)?, vec![3])?;
    check_eq("the large one", large.take(2000)?, (1000..1500).collect())?;
    check_eq("the one that is gone", Context(ring.at(0)).take(1), Err(Errno::EINVAL))?;
    [small, large, moved].iter().try_for_each(|context| context.check_works(&file, 40))?;
    let fresh = Context::new(5)?;
    fresh.check_works(&file, 40)?;
    [small, large, moved, fresh].iter().try_for_each(|context| Ok(context.destroy()?))
}
