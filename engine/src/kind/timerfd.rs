//! A timerfd: its clock, period, flags, owner and the expirations that were not read survive. A relative timer goes on
//! with the time that it had left; an absolute one expires at its moment, unless its clock began anew with another boot:
//! then it goes on like a relative one. Whether the clock was set meanwhile (TFD_TIMER_CANCEL_ON_SET) is not told.

use super::eventfd::missing;
use super::{BatchCall, Descriptor, DumpContext, Kind, RestoreContext};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{FdTypes, FileEntry, StasisDeadline, StasisFileEntry, TimerfdEntry};
use crate::proc::ProcDir;
use crate::proc::fdinfo::{self, Body};
use crate::sys::event;
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// See the module.
pub struct Timerfd;

impl Kind for Timerfd {
    fn fd_type(&self) -> FdTypes {
        FdTypes::Timerfd
    }

    fn claims(&self, descriptor: &Descriptor) -> bool {
        matches!(descriptor.info.body, Body::Timerfd(_))
    }

    fn dump(&self, descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
        let Body::Timerfd(state) = &descriptor.info.body else {
            return Err(Error::state(format!("{} is no timerfd", descriptor.describe())));
        };
        let state = &up_to_date(descriptor, state)?;
        let absolute = state.settime_flags & libc::TFD_TIMER_ABSTIME as u32 != 0;
        if absolute && state.value != (0, 0) {
            let doing = || format!("read the time left of {}", descriptor.describe());
            let left = event::time_left(descriptor.copy.as_fd()).doing(doing)?;
            // Asked afterwards: rather a microsecond late than early.
            let nanoseconds = left + event::now(state.clock).doing(doing)?;
            let deadline = Some(StasisDeadline { nanoseconds, boot_id: boot_id()? });
            cx.extras.push(StasisFileEntry { id, deadline, ..StasisFileEntry::default() });
        }
        let tfd = TimerfdEntry {
            id,
            flags: descriptor.flags(),
            fown: descriptor.owner()?,
            clockid: state.clock as u32,
            ticks: state.ticks,
            settime_flags: state.settime_flags,
            vsec: state.value.0,
            vnsec: state.value.1,
            isec: state.interval.0,
            insec: state.interval.1,
        };
        Ok(FileEntry { r#type: FdTypes::Timerfd as i32, id, tfd: Some(tfd), ..FileEntry::default() })
    }

    fn needs(&self, _: &FileEntry) -> Vec<u32> {
        Vec::new()
    }

    fn restore(&self, entry: &FileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
        let Some(tfd) = &entry.tfd else { return Err(missing(entry, "timerfd")) };
        let clock = tfd.clockid as i32;
        let help = "a timer that wakes the machine needs CAP_WAKE_ALARM";
        let fd = event::timerfd(clock).doing(|| format!("make a timerfd of clock {clock}"));
        let fd = fd.map_err(|e| if matches!(clock, ALARM_FIRST..=ALARM_LAST) { e.with_help(help) } else { e })?;
        let deadline = cx.extras.get(&entry.id).and_then(|more| more.deadline.as_ref());
        let value = value(tfd, deadline)?;
        let doing = || format!("set the timerfd {} of the images", entry.id);
        event::set_timer(fd.as_fd(), tfd.settime_flags as i32, value, (tfd.isec, tfd.insec)).doing(doing)?;
        if tfd.ticks > 0 {
            event::set_ticks(fd.as_fd(), tfd.ticks).doing(doing)?;
        }
        crate::sys::file::set_flags(fd.as_fd(), tfd.flags as i32).doing(doing)?;
        cx.set_owner(fd.as_fd(), &tfd.fown)?;
        Ok(fd)
    }

    fn attach(&self, _: &FileEntry, _: i32, _: &HashMap<u32, FileEntry>) -> Vec<BatchCall> {
        Vec::new()
    }
}

/// The state of a periodic timer that has expired stands still until somebody asks for the time left or reads: then the
/// kernel counts what expired meanwhile and starts the timer again.
fn up_to_date(descriptor: &Descriptor, state: &fdinfo::Timerfd) -> Result<fdinfo::Timerfd> {
    if state.interval == (0, 0) || state.value != (0, 0) || state.ticks == 0 {
        return Ok(state.clone());
    }
    event::time_left(descriptor.copy.as_fd()).doing(|| format!("read the time left of {}", descriptor.describe()))?;
    match fdinfo::read(&ProcDir::current()?, descriptor.copy.as_raw_fd(), &mut Vec::new())?.body {
        Body::Timerfd(state) => Ok(state),
        _ => Err(Error::state(format!("{} is no timerfd any more", descriptor.describe()))),
    }
}

/// CLOCK_REALTIME_ALARM.
const ALARM_FIRST: i32 = 8;
/// CLOCK_BOOTTIME_ALARM.
const ALARM_LAST: i32 = 9;

/// Seconds and nanoseconds to set a timer to; `(0, 0)` for one that is not armed.
fn value(tfd: &TimerfdEntry, deadline: Option<&StasisDeadline>) -> Result<(u64, u64)> {
    const SECOND: i64 = 1_000_000_000;
    let left = match (tfd.vsec, tfd.vnsec) {
        // Expired, and not started again before it is read: see the dump.
        (0, 0) if tfd.ticks > 0 => (tfd.isec, tfd.insec),
        left => left,
    };
    if tfd.settime_flags & libc::TFD_TIMER_ABSTIME as u32 == 0 || left == (0, 0) {
        return Ok(left);
    }
    let clock = tfd.clockid as i32;
    let counts_from_boot = !matches!(clock, libc::CLOCK_REALTIME | ALARM_FIRST);
    let nanoseconds = match deadline {
        Some(deadline) if !counts_from_boot || deadline.boot_id == boot_id()? => deadline.nanoseconds,
        _ => {
            let left = (left.0 as i64).saturating_mul(SECOND).saturating_add(left.1 as i64);
            event::now(clock).doing(|| format!("read clock {clock}"))?.saturating_add(left)
        }
    };
    // Zero would disarm it: what lies before the clock's start is over at once.
    let nanoseconds = nanoseconds.max(1);
    Ok(((nanoseconds / SECOND) as u64, (nanoseconds % SECOND) as u64))
}

fn boot_id() -> Result<Vec<u8>> {
    const PATH: &str = "/proc/sys/kernel/random/boot_id";
    let text = std::fs::read_to_string(PATH).doing(|| format!("read {PATH}"))?;
    let digits: Vec<char> = text.chars().filter(char::is_ascii_hexdigit).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).ok();
    Ok(digits.chunks(2).filter_map(byte).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::proto::FownEntry;

    fn entry(clockid: i32, settime_flags: i32, left: (u64, u64)) -> TimerfdEntry {
        let fown = FownEntry::default();
        let (vsec, vnsec) = left;
        let (clockid, settime_flags) = (clockid as u32, settime_flags as u32);
        TimerfdEntry { id: 1, flags: 0, fown, clockid, ticks: 0, settime_flags, vsec, vnsec, isec: 0, insec: 0 }
    }

    #[test]
    fn a_relative_timer_keeps_the_time_left() {
        assert_eq!(value(&entry(libc::CLOCK_MONOTONIC, 0, (3, 4)), None).unwrap(), (3, 4));
        assert_eq!(value(&entry(libc::CLOCK_MONOTONIC, 1, (0, 0)), None).unwrap(), (0, 0));
    }

    #[test]
    fn an_absolute_timer_keeps_its_moment() {
        let deadline = StasisDeadline { nanoseconds: 5_000_000_007, boot_id: boot_id().unwrap() };
        assert_eq!(deadline.boot_id.len(), 16);
        let timer = entry(libc::CLOCK_MONOTONIC, 1, (3, 4));
        assert_eq!(value(&timer, Some(&deadline)).unwrap(), (5, 7));
        let past = StasisDeadline { nanoseconds: -5, boot_id: boot_id().unwrap() };
        assert_eq!(value(&timer, Some(&past)).unwrap(), (0, 1));
    }

    #[test]
    fn with_another_boot_only_the_wall_clock_is_the_same() {
        let deadline = StasisDeadline { nanoseconds: 5_000_000_007, boot_id: vec![0; 16] };
        assert_eq!(value(&entry(libc::CLOCK_REALTIME, 1, (3, 4)), Some(&deadline)).unwrap(), (5, 7));
        let now = event::now(libc::CLOCK_MONOTONIC).unwrap() as u64 / 1_000_000_000;
        let (seconds, _) = value(&entry(libc::CLOCK_MONOTONIC, 1, (1000, 0)), Some(&deadline)).unwrap();
        assert!((now + 1000..now + 1005).contains(&seconds));
    }
}
