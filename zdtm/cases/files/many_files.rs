//! A thousand open files of a hundred names, each with its own position.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::position;
use nix::unistd::{Whence, lseek};
use std::fs::{self, File};

pub fn run(gate: &mut Gate) -> Verdict {
    for n in 0..100 {
        fs::write(gate.path(&format!("file-{n}")), vec![n; 2000])?;
    }
    let files = (0..1000i64).map(|n| {
        let file = File::open(gate.path(&format!("file-{}", n % 100)))?;
        lseek(&file, n, Whence::SeekSet)?;
        Ok(file)
    });
    let files: Vec<File> = files.collect::<Verdict<_>>()?;
    gate.checkpoint()?;
    for (n, file) in files.iter().enumerate() {
        check_eq(&format!("the position of file {n}"), position(file)?, n as i64)?;
        let byte = crate::tools_files::read_once(file, 1)?;
        check_eq(&format!("a byte of file {n}"), byte, vec![(n % 100) as u8])?;
    }
    Ok(())
}
