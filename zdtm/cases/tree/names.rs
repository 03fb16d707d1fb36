//! Task names that a careless reader of /proc takes wrong: parentheses, spaces, a line break, bytes that are no text,
//! nothing at all, and the full 15 bytes.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, child, outcome};

const NAMES: [&[u8]; 6] = [b"a) S 1 (b", b") ) (", b"two\nlines\t", b"\xff\xfe\x01\x7f", b"", b"fifteen bytes.."];

fn name() -> [u8; 16] {
    let mut name = [0xaa; 16];
    // SAFETY: the kernel writes 16 bytes.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    name
}

pub fn run(gate: &mut Gate) -> Verdict {
    let arrived = Word::shared()?;
    let mut children = Vec::new();
    for wanted in NAMES {
        children.push(child(gate, |gate| {
            let mut full = [0; 16];
            full[..wanted.len()].copy_from_slice(wanted);
            // SAFETY: the kernel reads at most 16 bytes up to the terminating NUL.
            check_eq("PR_SET_NAME", outcome(unsafe { libc::prctl(libc::PR_SET_NAME, full.as_ptr()) }), (0, 0))?;
            arrived.bump();
            gate.wait();
            check_eq("the name", name(), full)?;
            check_eq("the name in /proc", std::fs::read("/proc/self/comm")?, [wanted, b"\n"].concat())
        })?);
    }
    arrived.wait_for(NAMES.len() as u32);
    gate.checkpoint()?;
    children.into_iter().try_for_each(wait_ok)
}
