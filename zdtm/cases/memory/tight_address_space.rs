//! A process whose limits leave no room for one more mapping (RLIMIT_AS, RLIMIT_DATA) comes back under them.
//@ dump-fails: "mmap"
//@ unseen: the limit is met when a call is made in the task
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::status_field;
use crate::tools_maps::kib;
use crate::tools_memory::Area;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

pub fn run(gate: &mut Gate) -> Verdict {
    let area = Area::private(512)?;
    area.fill(1);
    let hard = getrlimit(Resource::RLIMIT_AS)?.1;
    let size = kib(&status_field("self", "VmSize")?)? * 1024;
    setrlimit(Resource::RLIMIT_AS, size, hard)?;
    setrlimit(Resource::RLIMIT_DATA, 4096, getrlimit(Resource::RLIMIT_DATA)?.1)?;
    let limits = (getrlimit(Resource::RLIMIT_AS)?, getrlimit(Resource::RLIMIT_DATA)?);
    check_eq("one more mapping is refused before", Area::private(1).is_err(), true)?;
    gate.checkpoint()?;
    check_eq("the limits", (getrlimit(Resource::RLIMIT_AS)?, getrlimit(Resource::RLIMIT_DATA)?), limits)?;
    check_eq("one more mapping is refused", Area::private(1).is_err(), true)?;
    area.check_fill("the data", 1)?;
    area.part(0..1).unmap()?;
    setrlimit(Resource::RLIMIT_DATA, hard, hard)?;
    check_eq("a mapping in place of one given up is refused", Area::private(1).err().map(|e| e.0), None)
}
