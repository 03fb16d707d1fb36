//! Deleted files whose names others have taken: each descriptor stays with its own file, and the new files are whole.
//@ witness: -target # the name is taken by the new file, which nobody may touch: the kernel then shows a name of ours
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_files::{read_once, stat, target};
use std::fs::{self, File};

pub fn run(gate: &mut Gate) -> Verdict {
    // Three generations of one name, all open; the first two deleted, one by unlink, one by a rename over it.
    fs::write(gate.path("name"), b"first")?;
    let first = File::open(gate.path("name"))?;
    fs::remove_file(gate.path("name"))?;
    fs::write(gate.path("name"), b"second")?;
    let second = File::open(gate.path("name"))?;
    fs::write(gate.path("other"), b"third")?;
    fs::rename(gate.path("other"), gate.path("name"))?;
    let third = File::open(gate.path("name"))?;
    // A directory has taken the name of a file.
    fs::write(gate.path("kind"), b"file")?;
    let file = File::open(gate.path("kind"))?;
    fs::remove_file(gate.path("kind"))?;
    fs::create_dir(gate.path("kind"))?;
    gate.checkpoint()?;
    for (fd, text) in [(&first, "first"), (&second, "second"), (&third, "third"), (&file, "file")] {
        check_eq("what the file says", read_once(fd, 10)?, text.as_bytes().to_vec())?;
    }
    check_eq("links", (stat(&first)?.st_nlink, stat(&second)?.st_nlink, stat(&third)?.st_nlink), (0, 0, 1))?;
    check("the two dead files differ", stat(&first)?.st_ino != stat(&second)?.st_ino)?;
    check_eq("the path of the living", target(&third)?, gate.path("name"))?;
    check_eq("the file of that name", fs::read(gate.path("name"))?, b"third".to_vec())?;
    check("the directory of the other name", gate.path("kind").is_dir())
}
