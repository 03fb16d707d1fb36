//! The CPU's features: what there is here, and what of another CPU's is missing here.
//!
//! The image keeps raw words (see [`stasis_arch::cpu::X86Features::words`]); names exist only for messages.

use std::fmt;
use std::io;
use std::path::Path;

use stasis_arch::cpu::{CpuFeatures, X86Features, features};

use crate::error::{Doing as _, Error};
use crate::options::CpuCap;
use hwcap::HwcapInfo;

pub mod hwcap;
mod hwcap_names;
pub mod image;
mod names;

/// The layout of [`X86Info::words`] that we write. CRIU counts its own up from 1; ours begin here, so that nobody takes
/// one for the other.
pub const OUR_LAYOUT: u32 = 0x100;

/// The words that lie at the same place, from the same source, in CRIU's layouts and ours.
const COMMON_WORDS: &[usize] = &[0, 1, 4, 6, 9, 10, 13, 16, 18];

/// A CPU as an image describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CpuInfo {
    /// An x86 CPU.
    X86(X86Info),
    /// A CPU whose kernel says what matters in the auxiliary vector.
    Hwcap(HwcapInfo),
}

/// An x86 CPU; the fields are those of the message `cpuinfo_x86_entry`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct X86Info {
    /// 0 unknown, 1 Intel, 2 AMD.
    pub vendor: u32,
    /// Display family.
    pub family: u32,
    /// Display model.
    pub model: u32,
    /// Stepping.
    pub stepping: u32,
    /// Layout of `words`: [`OUR_LAYOUT`], or one of CRIU's below it.
    pub layout: u32,
    /// Feature words; of any number in an image.
    pub words: Vec<u32>,
    /// Marketing name.
    pub model_id: Option<String>,
    /// Components of the extended state, as in XCR0.
    pub xfeatures: Option<u64>,
    /// Bytes of an XSAVE area for `xfeatures`.
    pub xsave_size: Option<u32>,
    /// Bytes of an XSAVE area for everything the CPU has.
    pub xsave_size_max: Option<u32>,
}

/// Something that the image's CPU has and this one has not, or has otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch(String);

impl Mismatch {
    fn family() -> Mismatch {
        Mismatch("the image is of a CPU of another family".to_owned())
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The CPU that runs this.
pub fn here() -> io::Result<CpuInfo> {
    Ok(match features() {
        CpuFeatures::X86(x86) => CpuInfo::X86(x86.into()),
        CpuFeatures::Hwcap => CpuInfo::Hwcap(hwcap::here()?),
    })
}

impl From<X86Features> for X86Info {
    fn from(x86: X86Features) -> Self {
        let name = String::from_utf8_lossy(&x86.model_id);
        let name = name.trim_matches(['\0', ' ']);
        X86Info {
            vendor: x86.vendor as u32,
            family: x86.family,
            model: x86.model,
            stepping: x86.stepping,
            layout: OUR_LAYOUT,
            words: x86.words.to_vec(),
            model_id: (!name.is_empty()).then(|| name.to_owned()),
            xfeatures: Some(x86.xfeatures),
            xsave_size: Some(x86.xsave_size),
            xsave_size_max: Some(x86.xsave_size_max),
        }
    }
}

/// Refuses the images in `dir` if programs of their CPU could not go on here, with all that is missing. Images that do
/// not tell of their CPU are taken as they are, unless the caller chose what is compared.
pub fn require(dir: &Path, cap: Option<CpuCap>) -> Result<(), Error> {
    if cap == Some(CpuCap::NONE) {
        return Ok(());
    }
    let image = match (image::find(dir)?, cap) {
        (Some(image), _) => image,
        (None, None) => return Ok(()),
        (None, Some(_)) => image::read(dir)?,
    };
    let here = here().doing(|| "ask for the features of the CPU")?;
    let found = compare(&image, &here, cap.unwrap_or_default());
    if found.is_empty() {
        return Ok(());
    }
    let all: Vec<_> = found.iter().map(ToString::to_string).collect();
    let what = format!("this CPU is not like that of the images: {}", all.join("; "));
    Err(Error::state(what).with_help("--cpu-cap chooses what is compared"))
}

/// What keeps a program of the image's CPU from running on this one, as far as `cap` asks.
pub fn compare(image: &CpuInfo, here: &CpuInfo, cap: CpuCap) -> Vec<Mismatch> {
    match (image, here) {
        (CpuInfo::X86(image), CpuInfo::X86(here)) => compare_x86(image, here, cap),
        (CpuInfo::Hwcap(image), CpuInfo::Hwcap(here)) => hwcap::compare(image, here, cap),
        _ => vec![Mismatch::family()],
    }
}

fn compare_x86(image: &X86Info, here: &X86Info, cap: CpuCap) -> Vec<Mismatch> {
    let mut found = Vec::new();
    if cap.cpu {
        same_cpu(image, here, &mut found);
    } else if cap.ins {
        for &(word, bit, name) in names::INSTRUCTIONS {
            if comparable(image, word) && has(image, word, bit) && !has(here, word, bit) {
                found.push(Mismatch(format!("instructions `{name}` are missing here")));
            }
        }
    }
    if cap.fpu {
        same_fpu(image, here, &mut found);
    }
    found
}

/// Whether a word of the image means what ours means.
fn comparable(image: &X86Info, word: usize) -> bool {
    word < image.words.len() && (image.layout == OUR_LAYOUT || COMMON_WORDS.contains(&word))
}

fn has(cpu: &X86Info, word: usize, bit: u32) -> bool {
    cpu.words.get(word).is_some_and(|w| w >> bit & 1 == 1)
}

fn same_cpu(image: &X86Info, here: &X86Info, found: &mut Vec<Mismatch>) {
    let values = [
        ("vendor", image.vendor, here.vendor),
        ("family", image.family, here.family),
        ("model", image.model, here.model),
        ("stepping", image.stepping, here.stepping),
    ];
    for (what, theirs, ours) in values.into_iter().filter(|(_, theirs, ours)| theirs != ours) {
        found.push(Mismatch(format!("CPU {what} is {ours} here but {theirs} in the image")));
    }
    for (word, theirs) in image.words.iter().enumerate().filter(|(word, _)| comparable(image, *word)) {
        let ours = here.words.get(word).copied().unwrap_or(0);
        let name = |bit| names::name(word, bit);
        found.extend(bits((theirs & !ours).into()).map(|b| Mismatch(format!("feature `{}` is missing here", name(b)))));
        found.extend(bits((ours & !theirs).into()).map(|b| Mismatch(format!("feature `{}` is new here", name(b)))));
    }
}

fn same_fpu(image: &X86Info, here: &X86Info, found: &mut Vec<Mismatch>) {
    let missing = image.xfeatures.unwrap_or(0) & !here.xfeatures.unwrap_or(0);
    found.extend(bits(missing).map(|bit| {
        let name = names::XFEATURES.iter().find(|(b, _)| *b == bit).map_or("of no name", |(_, name)| name);
        Mismatch(format!("extended state {bit} ({name}) is missing here"))
    }));
    let (theirs, ours) = (image.xsave_size.unwrap_or(0), here.xsave_size.unwrap_or(0));
    if missing == 0 && theirs > ours {
        found.push(Mismatch(format!("the extended state takes {theirs} bytes in the image but {ours} here")));
    }
}

/// The numbers of the bits that are set.
fn bits(word: u64) -> impl Iterator<Item = u32> {
    (0..64).filter(move |bit| word >> bit & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(words: &[(usize, u32)]) -> X86Info {
        let mut all = vec![0; 31];
        for (word, value) in words {
            all[*word] = *value;
        }
        X86Info {
            vendor: 1,
            family: 6,
            model: 0x55,
            stepping: 4,
            layout: OUR_LAYOUT,
            words: all,
            model_id: None,
            xfeatures: Some(7),
            xsave_size: Some(832),
            xsave_size_max: Some(2696),
        }
    }

    fn found(image: &X86Info, here: &X86Info, cap: CpuCap) -> Vec<String> {
        let (image, here) = (CpuInfo::X86(image.clone()), CpuInfo::X86(here.clone()));
        compare(&image, &here, cap).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn this_cpu_is_like_itself() {
        let here = here().expect("a CPU");
        assert_eq!(compare(&here, &here, CpuCap::ALL), []);
    }

    #[test]
    fn a_missing_instruction_set_is_named() {
        let (avx2, plain) = (cpu(&[(9, 1 << 5)]), cpu(&[]));
        assert_eq!(found(&avx2, &plain, CpuCap::default()), ["instructions `avx2` are missing here"]);
        assert!(found(&plain, &avx2, CpuCap::default()).is_empty());
        assert_eq!(found(&plain, &avx2, CpuCap::ALL), ["feature `avx2` is new here"]);
        assert!(found(&avx2, &plain, CpuCap::NONE).is_empty());
    }

    #[test]
    fn what_programs_cannot_use_matters_to_equality_only() {
        let (vmx, plain) = (cpu(&[(4, 1 << 5)]), cpu(&[]));
        assert!(found(&vmx, &plain, CpuCap::default()).is_empty());
        assert_eq!(found(&vmx, &plain, CpuCap::ALL), ["feature `word 4 bit 5` is missing here"]);
    }

    #[test]
    fn extended_state_must_fit() {
        let mut image = cpu(&[]);
        image.xfeatures = Some(0xe7);
        image.xsave_size = Some(2696);
        let errors = found(&image, &cpu(&[]), CpuCap::default());
        assert_eq!(errors.len(), 3);
        assert!(errors[1].contains("zmm_hi256"), "{errors:?}");
        image.xfeatures = Some(7);
        assert!(found(&image, &cpu(&[]), CpuCap::default())[0].contains("2696 bytes in the image but 832 here"));
    }

    #[test]
    fn words_of_a_foreign_layout_are_compared_only_where_they_agree() {
        let mut image = cpu(&[(9, 1 << 5), (12, 1 << 4), (3, 0xffff)]);
        image.layout = 2;
        image.words.truncate(20);
        assert_eq!(found(&image, &cpu(&[]), CpuCap::default()), ["instructions `avx2` are missing here"]);
        image.words.clear();
        assert!(found(&image, &cpu(&[]), CpuCap::default()).is_empty());
    }

    #[test]
    fn images_of_a_better_cpu_are_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let require = |cap| require(dir.path(), cap).map_err(|e| e.to_string());
        assert_eq!(require(None), Ok(()), "images that do not tell");
        assert!(require(Some(CpuCap::default())).is_err());
        let mut cpu = here().expect("a CPU");
        image::write(dir.path(), &cpu).expect("written");
        assert_eq!((require(None), require(Some(CpuCap::ALL))), (Ok(()), Ok(())));
        match &mut cpu {
            CpuInfo::X86(x86) => x86.xfeatures = x86.xfeatures.map(|components| components | 1 << 62),
            CpuInfo::Hwcap(cpu) => cpu.words.resize(4, 1 << 62),
        }
        image::write(dir.path(), &cpu).expect("written");
        let error = require(None).expect_err("refused");
        assert!(error.contains("62"), "{error}");
        assert_eq!(require(Some(CpuCap::NONE)), Ok(()));
    }

    #[test]
    fn a_cpu_of_another_family_is_refused() {
        let arm = HwcapInfo { machine: hwcap::Machine::Aarch64, words: vec![3], sve: Vec::new(), sme: Vec::new() };
        let found = compare(&CpuInfo::Hwcap(arm), &CpuInfo::X86(cpu(&[])), CpuCap::NONE);
        assert_eq!(found, [Mismatch::family()]);
    }
}
