//! The two-letter flags of an area in the VmFlags line of smaps, as of kernel 6.18.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// A set of flags of an area. It holds what this program knows; other codes are kept beside it by the parser.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct VmFlags(u64);

/// Names each flag, its code and what it says, once.
macro_rules! flags {
    ($($code:literal $name:ident $bit:literal $doc:literal;)*) => {
        impl VmFlags {
            $(#[doc = concat!("`", $code, "`: ", $doc, ".")] pub const $name: Self = Self(1 << $bit);)*

            /// All flags with their codes.
            pub const ALL: &[(&str, Self)] = &[$(($code, Self::$name)),*];

            /// The flag of a code; `None` for a code that is not known.
            pub fn from_code(code: [u8; 2]) -> Option<Self> {
                $(
                    const $name: [u8; 2] = letters($code);
                )*
                match code {
                    $($name => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

const fn letters(code: &str) -> [u8; 2] {
    match code.as_bytes() {
        [first, second] => [*first, *second],
        _ => panic!("a code has two letters"),
    }
}

flags! {
    "rd" READ 0 "readable";
    "wr" WRITE 1 "writable";
    "ex" EXEC 2 "executable";
    "sh" SHARED 3 "shared";
    "mr" MAY_READ 4 "may become readable";
    "mw" MAY_WRITE 5 "may become writable";
    "me" MAY_EXEC 6 "may become executable";
    "ms" MAY_SHARE 7 "may share: a shared mapping even where the file is not writable";
    "gd" GROWS_DOWN 8 "grows downwards (MAP_GROWSDOWN, stacks)";
    "pf" PFNMAP 9 "page frames without page structures (devices)";
    "dw" DENY_WRITE 10 "writes to the file are denied, until 5.15";
    "lo" LOCKED 11 "locked in memory (mlock)";
    "io" IO 12 "memory of a device";
    "sr" SEQUENTIAL 13 "MADV_SEQUENTIAL";
    "rr" RANDOM 14 "MADV_RANDOM";
    "dc" DONT_COPY 15 "MADV_DONTFORK";
    "de" DONT_EXPAND 16 "mremap may not enlarge it";
    "lf" LOCK_ON_FAULT 17 "MLOCK_ONFAULT";
    "ac" ACCOUNT 18 "counts against the commit limit";
    "nr" NO_RESERVE 19 "MAP_NORESERVE";
    "ht" HUGETLB 20 "pages of hugetlbfs";
    "sf" SYNC 21 "synchronous page faults (MAP_SYNC)";
    "ar" ARCH 22 "specific to the CPU";
    "wf" WIPE_ON_FORK 23 "MADV_WIPEONFORK";
    "dd" DONT_DUMP 24 "MADV_DONTDUMP";
    "bt" ARM64_BTI 25 "guarded branch targets (arm64)";
    "sd" SOFT_DIRTY 26 "soft-dirty: mapped since the bits were cleared";
    "mm" MIXED 27 "pages with and without page structures";
    "hg" HUGE_PAGE 28 "MADV_HUGEPAGE";
    "nh" NO_HUGE_PAGE 29 "MADV_NOHUGEPAGE";
    "mg" MERGEABLE 30 "MADV_MERGEABLE";
    "um" UFFD_MISSING 31 "userfaultfd gets missing pages";
    "uw" UFFD_WP 32 "userfaultfd write-protects";
    "ui" UFFD_MINOR 33 "userfaultfd gets minor faults";
    "mt" MTE 34 "memory tags (arm64)";
    "ss" SHADOW_STACK 35 "a shadow stack";
    "sl" SEALED 36 "sealed (mseal)";
    "dp" DROPPABLE 37 "MAP_DROPPABLE";
    "gu" GUARD 38 "may hold guard regions, since 6.19";
}

impl VmFlags {
    /// No flag.
    pub const EMPTY: Self = Self(0);

    /// Whether all of `other` are set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether one of `other` is set.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Those of both.
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are not in `other`.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether none is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The codes of the flags set.
    pub fn codes(self) -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().filter(move |(_, flag)| self.contains(*flag)).map(|(code, _)| *code)
    }
}

impl BitOr for VmFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for VmFlags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for VmFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VmFlags(")?;
        for (index, code) in self.codes().enumerate() {
            write!(f, "{}{code}", if index == 0 { "" } else { " " })?;
        }
        write!(f, ")")
    }
}
