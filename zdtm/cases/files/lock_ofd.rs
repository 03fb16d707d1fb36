//! Open-file-description locks stay with the open file: ranges, kinds, and a child that shares it may let them go.
//@ options: --file-locks
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::record_lock;
use crate::tools_relatives::{arrive, await_word, shared_word};
use std::fs::File;

const F_OFD_GETLK: i32 = 36;
const F_OFD_SETLK: i32 = 37;

fn in_the_way(file: &File, start: i64, len: i64) -> Verdict<(i32, i64, i64, i32)> {
    let lock = record_lock(file, F_OFD_GETLK, libc::F_WRLCK, start, len)?;
    Ok((i32::from(lock.l_type), lock.l_start, lock.l_len, lock.l_pid))
}

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let path = gate.path("locked");
    let open = || File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let (one, two) = (open()?, open()?);
    record_lock(&one, F_OFD_SETLK, libc::F_WRLCK, 5, 10)?;
    record_lock(&one, F_OFD_SETLK, libc::F_RDLCK, 50, 0)?;
    record_lock(&two, F_OFD_SETLK, libc::F_RDLCK, 60, 6)?;
    let sharer = gate.fork(|gate| {
        gate.wait();
        await_word(word, 1)?;
        check_eq("the shared file's own locks are not in its way", in_the_way(&one, 5, 10)?.0, libc::F_UNLCK)?;
        record_lock(&one, F_OFD_SETLK, libc::F_UNLCK, 5, 10)?;
        arrive(word);
        Ok(())
    })?;
    gate.checkpoint()?;
    check_eq("the first lock for the second file", in_the_way(&two, 0, 100)?, (libc::F_WRLCK, 5, 10, -1))?;
    check_eq("the second lock for the second file", in_the_way(&two, 30, 0)?, (libc::F_RDLCK, 50, 0, -1))?;
    check_eq("the second file's lock for the first", in_the_way(&one, 55, 100)?, (libc::F_RDLCK, 60, 6, -1))?;
    arrive(word);
    await_word(word, 2)?;
    check_eq("the first lock after the sharer let it go", in_the_way(&two, 0, 20)?.0, libc::F_UNLCK)?;
    wait_ok(sharer)
}
