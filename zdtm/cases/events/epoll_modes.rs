//! An epoll set keeps numbers, events and words of what it watches: level- and edge-triggered, one-shot before and after
//! its report, nothing but errors; what was ready before is reported after.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_events::{control, epoll, ready, watch};
use crate::tools_files::{read_once, write_once};
use nix::unistd::pipe;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let (set, input) = (epoll()?, libc::EPOLLIN);
    let pipes = (0..5).map(|_| pipe()).collect::<Result<Vec<_>, _>>()?;
    let ends: Vec<i32> = pipes.iter().map(|(reader, _)| reader.as_raw_fd()).collect();
    let word = |n: u64| 0xfeed_0000_dead_0000 + n;
    watch(&set, ends[0], input, word(0))?;
    watch(&set, ends[1], input | libc::EPOLLET, word(1))?;
    watch(&set, ends[2], input | libc::EPOLLONESHOT, word(2))?;
    watch(&set, ends[3], input | libc::EPOLLONESHOT, word(3))?;
    watch(&set, ends[4], 0, word(4))?;
    write_once(&pipes[3].1, b"spent")?;
    check_eq("the report to be spent", ready(&set)?, vec![(input, word(3))])?;
    write_once(&pipes[0].1, b"waits")?;
    gate.checkpoint()?;
    check_eq("what was ready before", ready(&set)?, vec![(input, word(0))])?;
    check_eq("and again", ready(&set)?, vec![(input, word(0))])?;
    read_once(&pipes[0].0, 16)?;
    check_eq("when it was read", ready(&set)?, vec![])?;
    for n in [1, 2, 4] {
        write_once(&pipes[n].1, b"x")?;
    }
    check_eq("new events", ready(&set)?, vec![(input, word(1)), (input, word(2))])?;
    check_eq("edge and one-shot are silent", ready(&set)?, vec![])?;
    write_once(&pipes[1].1, b"y")?;
    check_eq("another edge", ready(&set)?, vec![(input, word(1))])?;
    control(&set, libc::EPOLL_CTL_MOD, ends[3], input | libc::EPOLLONESHOT, word(5))?;
    check_eq("armed again", ready(&set)?, vec![(input, word(5))])?;
    control(&set, libc::EPOLL_CTL_DEL, ends[4], 0, 0)?;
    drop(pipes);
    check_eq("when all are closed", ready(&set)?, vec![])
}
