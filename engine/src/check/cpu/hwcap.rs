//! CPUs whose kernel says what programs may use in the auxiliary vector: AArch64, POWER, s390x.

use std::fs;
use std::io;

use super::{Mismatch, bits, hwcap_names};
use crate::options::CpuCap;
use crate::sys::vector;

/// Whose bits the words hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// AArch64.
    Aarch64,
    /// POWER, 64 bits, of this byte order.
    Power {
        /// Little endian.
        little: bool,
    },
    /// s390x.
    S390x,
    /// Another one: its bits have no names, and no image holds them.
    Other,
}

impl Machine {
    /// That of this engine.
    pub fn here() -> Machine {
        match std::env::consts::ARCH {
            "aarch64" => Machine::Aarch64,
            "powerpc64" => Machine::Power { little: cfg!(target_endian = "little") },
            "s390x" => Machine::S390x,
            _ => Machine::Other,
        }
    }
}

/// A CPU as its kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HwcapInfo {
    /// Whose words these are.
    pub machine: Machine,
    /// AT_HWCAP, AT_HWCAP2, AT_HWCAP3, AT_HWCAP4; zeros at the end left out.
    pub words: Vec<u64>,
    /// Bytes of an SVE register, each length that a thread can choose; empty without SVE.
    pub sve: Vec<u32>,
    /// The same of the streaming mode.
    pub sme: Vec<u32>,
}

/// The CPU that runs this.
pub fn here() -> io::Result<HwcapInfo> {
    let machine = Machine::here();
    let words = words(&fs::read("/proc/self/auxv")?);
    let (sve, sme) = match machine {
        Machine::Aarch64 => (vector::lengths(vector::Unit::Sve), vector::lengths(vector::Unit::Sme)),
        _ => (Vec::new(), Vec::new()),
    };
    Ok(HwcapInfo { machine, words, sve, sme })
}

/// The words of an auxiliary vector of native words; trailing absent ones left out.
fn words(auxv: &[u8]) -> Vec<u64> {
    const WORD: usize = size_of::<usize>();
    let word = |bytes: &[u8]| bytes.first_chunk::<WORD>().map_or(0, |b| usize::from_ne_bytes(*b) as u64);
    let pairs: Vec<_> = auxv.chunks_exact(2 * WORD).map(|pair| (word(pair), word(&pair[WORD..]))).collect();
    let find = |tag| pairs.iter().find(|(t, _)| *t == tag).map(|(_, value)| *value);
    let mut words: Vec<_> = [16, 26, 29, 30].into_iter().map(|tag| find(tag).unwrap_or(0)).collect();
    while words.last() == Some(&0) {
        words.pop();
    }
    words
}

/// What keeps a program of the image's CPU from running on this one, as far as `cap` asks.
pub fn compare(image: &HwcapInfo, here: &HwcapInfo, cap: CpuCap) -> Vec<Mismatch> {
    if image.machine != here.machine {
        return vec![Mismatch::family()];
    }
    let mut found = Vec::new();
    for at in 0..image.words.len().max(here.words.len()) {
        let (theirs, ours) = (word(image, at), word(here, at));
        let known = hwcap_names::hwcaps(image.machine, at);
        let name = |bit| known.iter().find(|(b, _)| *b == bit).map(|(_, name)| *name);
        let said = |bit| name(bit).map_or_else(|| format!("bit {bit} of AT_HWCAP{}", number(at)), str::to_owned);
        if cap.cpu {
            found.extend(bits(theirs & !ours).map(|bit| Mismatch(format!("feature `{}` is missing here", said(bit)))));
            found.extend(bits(ours & !theirs).map(|bit| Mismatch(format!("feature `{}` is new here", said(bit)))));
        } else if cap.ins {
            let missing =
                bits(theirs & !ours).filter(|bit| name(*bit).is_none_or(|n| !hwcap_names::HINTS.contains(&n)));
            found.extend(missing.map(|bit| Mismatch(format!("instructions `{}` are missing here", said(bit)))));
        }
    }
    for (what, theirs, ours) in [("SVE", &image.sve, &here.sve), ("SME", &image.sme, &here.sme)] {
        let missing = theirs.iter().filter(|length| (cap.cpu || cap.fpu) && !ours.contains(length));
        found.extend(missing.map(|n| Mismatch(format!("{what} vectors of {n} bytes are missing here"))));
        let new = ours.iter().filter(|length| cap.cpu && !theirs.contains(length));
        found.extend(new.map(|n| Mismatch(format!("{what} vectors of {n} bytes are new here"))));
    }
    found
}

fn word(cpu: &HwcapInfo, at: usize) -> u64 {
    cpu.words.get(at).copied().unwrap_or(0)
}

/// What the kernel appends to AT_HWCAP for a word.
fn number(at: usize) -> String {
    if at == 0 { String::new() } else { (at + 1).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POWER: Machine = Machine::Power { little: true };

    fn cpu(machine: Machine, words: &[u64]) -> HwcapInfo {
        HwcapInfo { machine, words: words.to_vec(), sve: Vec::new(), sme: Vec::new() }
    }

    fn found(image: &HwcapInfo, here: &HwcapInfo, cap: CpuCap) -> Vec<String> {
        compare(image, here, cap).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_auxiliary_vector_holds_the_words() {
        let auxv = |words: &[usize]| words.iter().flat_map(|w| w.to_ne_bytes()).collect::<Vec<u8>>();
        assert_eq!(words(&auxv(&[16, 0b111, 6, 4096, 26, 1, 0, 0])), [7, 1]);
        assert_eq!(words(&auxv(&[26, 1, 29, 0, 30, 4])), [0, 1, 0, 4]);
        assert_eq!(words(&[]), [0; 0]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let default = CpuCap::default();
        let (image, here) = (cpu(Machine::Aarch64, &[1 << 22 | 3, 1 << 1, 1 << 60]), cpu(Machine::Aarch64, &[3]));
        let missing =
            ["`sve`", "`sve2`", "`bit 60 of AT_HWCAP3`"].map(|n| format!("instructions {n} are missing here"));
        assert_eq!(found(&image, &here, default), missing);
        assert!(found(&here, &image, default).is_empty(), "more does no harm");
        assert_eq!(found(&here, &image, CpuCap::ALL)[1], "feature `sve2` is new here");
        assert!(found(&image, &here, CpuCap::NONE).is_empty());
        assert!(found(&image, &here, "fpu".parse().expect("a list")).is_empty());
        let vsx = found(&cpu(POWER, &[0x80, 1 << 18]), &cpu(POWER, &[0]), default);
        assert_eq!(vsx, ["instructions `vsx` are missing here", "instructions `arch_3_1` are missing here"]);
        let vx = found(&cpu(Machine::S390x, &[1 << 11]), &cpu(Machine::S390x, &[]), default);
        assert_eq!(vx, ["instructions `vx` are missing here"]);
    }

    #[test]
    fn what_no_program_depends_on_matters_to_equality_only() {
        let (dgh, plain) = (cpu(Machine::Aarch64, &[0, 1 << 15]), cpu(Machine::Aarch64, &[]));
        assert!(found(&dgh, &plain, CpuCap::default()).is_empty());
        assert_eq!(found(&dgh, &plain, CpuCap::ALL), ["feature `dgh` is missing here"]);
    }

    #[test]
    fn vector_lengths_must_be_there_again() {
        let with = |sve: &[u32], sme: &[u32]| HwcapInfo {
            sve: sve.to_vec(),
            sme: sme.to_vec(),
            ..cpu(Machine::Aarch64, &[1 << 22])
        };
        let (long, short) = (with(&[16, 32, 64], &[32]), with(&[16, 32], &[]));
        let missing = ["SVE vectors of 64 bytes are missing here", "SME vectors of 32 bytes are missing here"];
        assert_eq!(found(&long, &short, CpuCap::default()), missing);
        assert_eq!(found(&long, &short, "fpu".parse().expect("a list")), missing);
        assert!(found(&long, &short, "ins".parse().expect("a list")).is_empty());
        assert!(found(&short, &long, CpuCap::default()).is_empty());
        assert_eq!(found(&short, &long, CpuCap::ALL)[0], "SVE vectors of 64 bytes are new here");
    }

    #[test]
    fn machines_are_told_apart() {
        for (image, here) in [(Machine::Aarch64, Machine::S390x), (POWER, Machine::Power { little: false })] {
            assert_eq!(found(&cpu(image, &[]), &cpu(here, &[]), CpuCap::default()).len(), 1);
        }
    }

    #[test]
    fn names_are_told_once() {
        let mut known = Vec::new();
        for machine in [Machine::Aarch64, POWER, Machine::S390x] {
            let words: Vec<_> = (0..4).map(|at| hwcap_names::hwcaps(machine, at)).collect();
            assert!(words.iter().all(|word| word.windows(2).all(|w| w[0].0 < w[1].0)), "{machine:?}");
            let mut names: Vec<_> = words.into_iter().flatten().map(|(_, name)| *name).collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "{machine:?}");
            known.append(&mut names);
        }
        assert!(hwcap_names::HINTS.iter().all(|hint| known.contains(hint)));
    }
}
