//! The types of single option values and how they are read from text and written back.

mod external;

use std::fmt;
use std::str::FromStr;

pub use external::{External, InheritFd, InheritKey};

/// Why an option was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// The value does not have the option's form.
    #[error("`{value}` is no value of {option}: expected {expected}")]
    Bad {
        /// The option with its dashes.
        option: &'static str,
        /// What was given.
        value: String,
        /// The form that is understood.
        expected: &'static str,
    },
    /// The option, or this form of it, is known but its objects are not built yet.
    #[error("`{0}` is known but not built yet")]
    NotBuilt(String),
    /// Options that are fine by themselves contradict each other.
    #[error("{0}")]
    Conflict(&'static str),
}

impl OptionError {
    pub(crate) fn bad(option: &'static str, value: impl Into<String>, expected: &'static str) -> Self {
        OptionError::Bad { option, value: value.into(), expected }
    }

    pub(crate) fn not_built(what: impl Into<String>) -> Self {
        OptionError::NotBuilt(what.into())
    }

    pub(crate) fn conflict(what: &'static str) -> Self {
        OptionError::Conflict(what)
    }
}

/// How much is said: 0 only messages, 1 errors, 2 warnings too (the default), 3 information, 4 debugging, 5 everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Verbosity(u8);

impl Verbosity {
    /// Verbosity `level`; what lies above 5 is 5.
    pub const fn new(level: u8) -> Self {
        Verbosity(if level > 5 { 5 } else { level })
    }

    /// The level, 0 to 5.
    pub const fn level(self) -> u8 {
        self.0
    }
}

impl Default for Verbosity {
    fn default() -> Self {
        Verbosity(2)
    }
}

/// A number of bytes; written with K, M or G for powers of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

impl ByteSize {
    /// `bytes` bytes.
    pub const fn new(bytes: u64) -> Self {
        ByteSize(bytes)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        let bad = || OptionError::bad("--ghost-limit", text, "a number of bytes, with K, M or G for powers of 1024");
        let digits = text.trim_end_matches(['K', 'M', 'G', 'k', 'm', 'g']);
        let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
            "" => 0,
            "K" => 10,
            "M" => 20,
            "G" => 30,
            _ => return Err(bad()),
        };
        let number = decimal::<u64>(digits).ok_or_else(bad)?;
        number.checked_mul(1 << shift).map(ByteSize).ok_or_else(bad)
    }
}

/// The number of a descriptor that the engine was started with; says nothing of whether it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FdNumber(i32);

impl FdNumber {
    /// The number as the kernel counts: 0 or more.
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl FromStr for FdNumber {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        decimal::<i32>(text)
            .map(FdNumber)
            .ok_or_else(|| OptionError::bad("a descriptor", text, "a number of 0 or more"))
    }
}

impl fmt::Display for FdNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Declares an option whose value is one of a few words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $option:literal, $expected:literal, { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl FromStr for $name {
            type Err = OptionError;

            fn from_str(text: &str) -> Result<Self, OptionError> {
                match text {
                    $($word => Ok($name::$variant),)+
                    _ => Err(OptionError::bad($option, text, $expected)),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($name::$variant => $word),+ })
            }
        }
    };
}

words! {
    /// How the network is held still while connections are dumped or restored.
    NetworkLock, "--network-lock", "nftables, iptables or skip", {
        /// By rules of nftables.
        #[default]
        Nftables = "nftables",
        /// By rules of iptables.
        Iptables = "iptables",
        /// Not at all: the caller does it.
        Skip = "skip",
    }
}

words! {
    /// What of an opened file must be as it was at dump.
    FileValidation, "--file-validation", "filesize or buildid", {
        /// The size, and the GNU build id of ELF files.
        #[default]
        BuildId = "buildid",
        /// The size only.
        FileSize = "filesize",
    }
}

words! {
    /// What is done about cgroups.
    ManageCgroups, "--manage-cgroups", "none, props, soft, full, strict or ignore", {
        /// Pretend that there are none.
        #[default]
        Ignore = "ignore",
        /// They must exist at restore; properties are left alone.
        None = "none",
        /// Properties are restored into cgroups that exist.
        Props = "props",
        /// Missing cgroups are created, properties restored only for those.
        Soft = "soft",
        /// All are created and all properties restored.
        Full = "full",
        /// None may exist before.
        Strict = "strict",
    }
}

/// What of the CPU must match at restore: a set of requirements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuCap {
    /// Every feature word must be equal (`cpu`).
    pub cpu: bool,
    /// The extended-state components and their layout must fit (`fpu`).
    pub fpu: bool,
    /// Every instruction set that was there must be there again (`ins`).
    pub ins: bool,
}

impl CpuCap {
    /// Nothing is compared.
    pub const NONE: CpuCap = CpuCap { cpu: false, fpu: false, ins: false };
    /// Everything is compared.
    pub const ALL: CpuCap = CpuCap { cpu: true, fpu: true, ins: true };
}

impl Default for CpuCap {
    fn default() -> Self {
        CpuCap { cpu: false, fpu: true, ins: true }
    }
}

impl FromStr for CpuCap {
    type Err = OptionError;

    /// A list of words applied from left to right; `^WORD` takes away. A list that begins with `^` starts from all.
    fn from_str(text: &str) -> Result<Self, OptionError> {
        let mut cap = if text.starts_with('^') { CpuCap::ALL } else { CpuCap::NONE };
        for item in text.split(',') {
            let (word, on) = item.strip_prefix('^').map_or((item, true), |word| (word, false));
            match word {
                "cpu" => cap.cpu = on,
                "fpu" => cap.fpu = on,
                "ins" => cap.ins = on,
                "all" => cap = if on { CpuCap::ALL } else { CpuCap::NONE },
                "none" => cap = if on { CpuCap::NONE } else { CpuCap::ALL },
                _ => {
                    let expected = "a list of cpu, fpu, ins, all, none, each with ^ before it to take it away";
                    return Err(OptionError::bad("--cpu-cap", text, expected));
                }
            }
        }
        Ok(cap)
    }
}

/// An unsigned decimal number of digits only: no sign, no blanks, in range.
fn decimal<T: FromStr>(text: &str) -> Option<T> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [("0", 0), ("17", 17), ("4K", 4096), ("4k", 4096), ("2M", 2 << 20), ("3G", 3 << 30)] {
            assert_eq!(text.parse::<ByteSize>().map(ByteSize::bytes), Ok(bytes), "{text}");
        }
        for text in ["", "K", "-1", "+1", "1KK", "1T", "1 K", "18446744073709551615K", "99999999999999999999"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn cpu_capabilities() {
        assert_eq!("all".parse(), Ok(CpuCap::ALL));
        assert_eq!("none".parse(), Ok(CpuCap::NONE));
        assert_eq!("all,^cpu".parse(), Ok(CpuCap::default()));
        assert_eq!("^cpu".parse(), Ok(CpuCap::default()));
        assert_eq!("cpu,fpu".parse(), Ok(CpuCap { cpu: true, fpu: true, ins: false }));
        assert!("".parse::<CpuCap>().is_err());
        assert!("cpu,avx".parse::<CpuCap>().is_err());
    }

    #[test]
    fn words_read_back_as_written() {
        for word in ["none", "props", "soft", "full", "strict", "ignore"] {
            assert_eq!(word.parse::<ManageCgroups>().map(|m| m.to_string()), Ok(word.to_owned()));
        }
        assert!("Soft".parse::<ManageCgroups>().is_err());
        assert_eq!("skip".parse(), Ok(NetworkLock::Skip));
        assert_eq!("filesize".parse(), Ok(FileValidation::FileSize));
    }

    #[test]
    fn descriptors() {
        assert_eq!("3".parse::<FdNumber>().map(FdNumber::get), Ok(3));
        assert!("-1".parse::<FdNumber>().is_err());
        assert!("99999999999".parse::<FdNumber>().is_err());
    }
}
