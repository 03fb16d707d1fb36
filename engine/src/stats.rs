//! What an operation cost: `stats-dump` and `stats-restore` in the work directory, as CRIU writes them, and the same as
//! text for `--display-stats`.

use crate::error::{Doing, Result};
use crate::image::framing::{Order, push_entry, push_head};
use crate::image::kinds;
use crate::image::proto::{DumpStatsEntry, RestoreStatsEntry, StatsEntry};
use crate::options::CommonOptions;
use std::time::Duration;

/// Writes the statistics of a dump.
///
/// # Errors
/// The work directory cannot be written.
pub fn of_dump(common: &CommonOptions, report: &crate::dump::Report) -> Result<()> {
    // Readers add the two times: what freezing took is not counted twice.
    let frozen = report.frozen.saturating_sub(report.freezing);
    let dump = DumpStatsEntry {
        freezing_time: micros(report.freezing),
        frozen_time: micros(frozen),
        memdump_time: micros(report.draining),
        memwrite_time: micros(report.draining),
        pages_scanned: report.pages,
        pages_written: report.pages,
        ..DumpStatsEntry::default()
    };
    write(common, kinds::STATS.kind(), &StatsEntry { dump: Some(dump), restore: None })?;
    if common.display_stats {
        println!("Displaying dump stats:");
        println!("Freezing time: {} us", micros(report.freezing));
        println!("Frozen time: {} us", micros(frozen));
        println!("Memory dump time: {} us", micros(report.draining));
        println!("Memory pages written: {}", report.pages);
        println!("Processes: {}", report.processes);
    }
    Ok(())
}

/// Writes the statistics of a restore.
///
/// # Errors
/// The work directory cannot be written.
pub fn of_restore(common: &CommonOptions, report: &crate::restore::Report) -> Result<()> {
    let restore = RestoreStatsEntry {
        forking_time: micros(report.forking),
        restore_time: micros(report.total),
        ..RestoreStatsEntry::default()
    };
    // A restore changes nothing in the images directory.
    if common.work_dir.is_some() {
        write(common, kinds::STATS_RESTORE.kind(), &StatsEntry { dump: None, restore: Some(restore) })?;
    }
    if common.display_stats {
        println!("Displaying restore stats:");
        println!("Forking time: {} us", micros(report.forking));
        println!("Restore time: {} us", micros(report.total));
        println!("Processes: {}", report.processes);
    }
    Ok(())
}

/// CRIU counts in 32 bits.
fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

fn write(common: &CommonOptions, kind: &kinds::Kind, stats: &StatsEntry) -> Result<()> {
    let mut bytes = Vec::new();
    push_head(&mut bytes, kind, Order::NATIVE);
    push_entry(&mut bytes, stats, Order::NATIVE);
    let path = common.in_work_dir(kind.file_name(None).as_ref());
    std::fs::write(&path, bytes).doing(|| format!("write {}", path.display()))
}
