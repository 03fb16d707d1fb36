//! What this kernel and this user allow: each probe asks the kernel itself, never its version number.

pub mod cpu;
mod files;
pub mod kernel;
mod memory;
mod net;
mod process;
mod table;

use std::fmt;

use serde::Serialize;

use table::FEATURES;

/// There, or why not.
type Answer = Result<(), String>;

/// How much it matters that a feature is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Nothing can be dumped and restored without it.
    Needed,
    /// Most trees can be dumped and restored without it.
    Useful,
    /// Some trees need it: part of `--extra`.
    Extra,
    /// Nothing depends on it yet: part of `--experimental`.
    Experimental,
}

/// One thing that a kernel and user may or may not have.
struct Feature {
    /// As `--feature` takes it; CRIU's name where it has one.
    name: &'static str,
    weight: Weight,
    probe: fn() -> Answer,
    /// What follows when it is missing.
    consequence: &'static str,
}

/// Which probes are made beside the needed and useful ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// `--extra`.
    pub extra: bool,
    /// `--experimental`.
    pub experimental: bool,
}

/// Something is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The feature.
    pub name: &'static str,
    /// How much it matters.
    pub weight: Weight,
    /// What the kernel said.
    pub why: String,
    /// What follows from it.
    pub consequence: &'static str,
}

/// The answers of all probes that were made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether trees can be dumped and restored; of single features, whether all are there.
    pub good: bool,
    /// The features that are there.
    pub present: Vec<&'static str>,
    /// Those that are not.
    pub missing: Vec<Missing>,
    /// Whether single features were asked for.
    #[serde(skip)]
    single: bool,
}

/// A feature name that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no feature; features are {}", names().collect::<Vec<_>>().join(", "))]
pub struct UnknownFeature {
    name: String,
}

/// The names of all features.
pub fn names() -> impl Iterator<Item = &'static str> {
    FEATURES.iter().map(|f| f.name)
}

/// Makes all probes of that depth.
pub fn run(depth: &Depth) -> Report {
    let wanted = |feature: &&Feature| match feature.weight {
        Weight::Needed | Weight::Useful => true,
        Weight::Extra => depth.extra,
        Weight::Experimental => depth.experimental,
    };
    let mut report = probe(FEATURES.iter().filter(wanted));
    report.good = report.missing.iter().all(|m| m.weight != Weight::Needed);
    report
}

/// Makes the probes of single features.
pub fn features<'a>(wanted: impl IntoIterator<Item = &'a str>) -> Result<Report, UnknownFeature> {
    let find = |name: &str| {
        let known = FEATURES.iter().find(|f| f.name == name);
        known.ok_or_else(|| UnknownFeature { name: name.to_owned() })
    };
    let features: Vec<_> = wanted.into_iter().map(find).collect::<Result<_, _>>()?;
    let mut report = probe(features.into_iter());
    report.good = report.missing.is_empty();
    report.single = true;
    Ok(report)
}

fn probe(features: impl Iterator<Item = &'static Feature>) -> Report {
    let mut report = Report { good: true, present: Vec::new(), missing: Vec::new(), single: false };
    for feature in features {
        let answer = (feature.probe)();
        tracing::debug!(target: "check", "{}: {answer:?}", feature.name);
        match answer {
            Ok(()) => report.present.push(feature.name),
            Err(why) => report.missing.push(Missing {
                name: feature.name,
                weight: feature.weight,
                why,
                consequence: feature.consequence,
            }),
        }
    }
    report
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for missing in &self.missing {
            let word = if missing.weight == Weight::Needed { "Error" } else { "Warn " };
            writeln!(f, "{word} (check): no {}: {}\n  {}", missing.name, missing.why, missing.consequence)?;
        }
        if self.single {
            return self.present.iter().try_for_each(|name| writeln!(f, "{name} is there"));
        }
        let stopping: Vec<_> = self.missing.iter().filter(|m| m.weight == Weight::Needed).map(|m| m.name).collect();
        if self.good {
            writeln!(f, "Looks good.")
        } else {
            writeln!(f, "Error (check): nothing can be dumped or restored here without {}", stopping.join(", "))
        }
    }
}

/// Turns the error of a call into the answer of a probe, with the call's name.
trait Because<T> {
    fn because(self, call: &str) -> Result<T, String>;
}

impl<T, E: fmt::Display> Because<T> for Result<T, E> {
    fn because(self, call: &str) -> Result<T, String> {
        self.map_err(|e| format!("{call}: {e}"))
    }
}

/// The answer that follows from a condition.
fn unless(there: bool, why: &str) -> Answer {
    if there { Ok(()) } else { Err(why.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names that callers pass to `check --feature`.
    const CALLERS: &str = "mnt_id mem_dirty_track aio_remap timerfd tun tun_ns userns fdinfo_lock seccomp_suspend \
        seccomp_filters loginuid cgroupns autofs tcp_half_closed compat_cr uffd uffd-noncoop can_map_vdso sk_ns \
        sk_unix_file net_diag_raw nsid link_nsid kcmp_epoll timens external_net_ns clone3_set_tid newifindex nftables \
        has_ipt_legacy pidfd_store ns_pid apparmor_stacking network_lock_nftables sockopt_buf_lock memfd_hugetlb \
        move_mount_set_group openat2 get_rseq_conf ipv6_freebind pagemap_scan timer_cr_ids overlayfs_maps breakpoints \
        pagemap_scan_guard_pages";

    #[test]
    fn every_name_that_callers_use_is_known_once() {
        for name in CALLERS.split_whitespace() {
            assert_eq!(names().filter(|n| *n == name).count(), 1, "{name}");
        }
        let mut all: Vec<_> = names().collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), FEATURES.len());
    }

    #[test]
    fn an_unknown_feature_is_an_error_with_the_list() {
        let error = features(["mnt_id", "teleport"]).expect_err("no such feature");
        assert!(error.to_string().contains("`teleport`") && error.to_string().contains("pagemap_scan"));
    }

    #[test]
    fn what_is_needed_decides() {
        let missing = |weight| Missing { name: "x", weight, why: "w".into(), consequence: "c" };
        let mut report = Report { good: true, present: vec![], missing: vec![missing(Weight::Useful)], single: false };
        assert!(report.to_string().ends_with("Looks good.\n"));
        report.missing = vec![missing(Weight::Needed)];
        report.good = false;
        assert!(!report.to_string().contains("Looks good") && report.to_string().contains("Error (check): no x: w"));
    }

    #[test]
    fn probes_of_what_every_kernel_of_today_has() {
        for name in ["mnt_id", "fdinfo_lock", "timerfd", "openat2", "close_range", "pidfd_store", "ns_pid"] {
            let report = features([name]).expect("a known name");
            assert!(report.good, "{report}");
        }
    }
}
