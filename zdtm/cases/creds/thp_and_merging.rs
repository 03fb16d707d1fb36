//! Whether a process takes part in huge pages and in the merging of equal pages, by its own wish.
//@ needs: [kernel:ksm, kernel:6.4]
use crate::gate::{Gate, Verdict};
use crate::tools_creds::{Setup, each_child};
use crate::tools_tasks::{must, prctl};

const SET_MEMORY_MERGE: i32 = 67;
const GET_MEMORY_MERGE: i32 = 68;

fn observe() -> Verdict<[i64; 2]> {
    let huge = must("PR_GET_THP_DISABLE", prctl(libc::PR_GET_THP_DISABLE, 0))?;
    Ok([huge, must("PR_GET_MEMORY_MERGE", prctl(GET_MEMORY_MERGE, 0))?])
}

pub fn run(gate: &mut Gate) -> Verdict {
    let set = |operation: i32| -> Setup { Box::new(move || must("the setting", prctl(operation, 1)).map(drop)) };
    each_child(gate, vec![set(libc::PR_SET_THP_DISABLE), set(SET_MEMORY_MERGE)], observe)
}
