//! `--external` and `--inherit-fd`: objects that are supplied from outside instead of being dumped or rebuilt.
//!
//! The keys are text that tools compute, and CRIU compares them as text: mount ids, inodes and devices of `file[…]` and
//! `tty[…]` are hexadecimal without `0x`, inodes of sockets, pipes and namespaces decimal.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::{FdNumber, OptionError, decimal};

/// An object that the images only name, because the caller supplies it again at restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum External {
    /// `file[MNT_ID:INODE]`: an open file, by its mount (as in mountinfo) and inode number.
    File {
        /// Mount id, as in the first column of mountinfo.
        mnt_id: u32,
        /// Inode number, as in `st_ino`.
        inode: u64,
    },
    /// `tty[RDEV:DEV]`: a terminal, by its device number and the device of the file system that holds it.
    Tty {
        /// `st_rdev`.
        rdev: u64,
        /// `st_dev`.
        dev: u64,
    },
    /// `unix[INODE]`: a unix socket.
    Unix {
        /// Inode of the socket.
        inode: u64,
    },
    /// `mnt[KEY]:VALUE`: a bind mount; at dump the mount point and a cookie, at restore the cookie and a root. An empty
    /// key means all external bind mounts and makes the value flags.
    Mount {
        /// Mount point or cookie; empty for all.
        key: String,
        /// Cookie, root or flags.
        value: String,
    },
    /// `dev[MAJOR/MINOR]:NAME`: a block device that is mounted.
    Device {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
        /// Cookie at dump, path at restore.
        name: String,
    },
    /// `net[INODE]:NAME` or `pid[INODE]:NAME`: a namespace.
    Namespace {
        /// `net` or `pid`.
        kind: &'static str,
        /// Inode of the namespace.
        inode: u64,
        /// Cookie that `--inherit-fd` uses as its key.
        name: String,
    },
    /// `veth[IN]:OUT@BRIDGE` or `macvlan[IN]:OUT`: a network link.
    Link {
        /// `veth` or `macvlan`.
        kind: &'static str,
        /// Name inside the namespace.
        inside: String,
        /// Name outside, and for veth the bridge after `@`.
        outside: String,
    },
}

impl External {
    /// Whether the engine can do it already.
    pub fn built(&self) -> bool {
        matches!(self, External::File { .. } | External::Tty { .. } | External::Unix { .. })
    }
}

impl FromStr for External {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        parse_external(text).ok_or_else(|| {
            let expected = "file[MNT_ID:INODE], tty[RDEV:DEV], unix[INODE], mnt[KEY]:VALUE, dev[MAJOR/MINOR]:NAME, \
                            net[INODE]:NAME, pid[INODE]:NAME, veth[IN]:OUT@BRIDGE or macvlan[IN]:OUT";
            OptionError::bad("--external", text, expected)
        })
    }
}

fn parse_external(text: &str) -> Option<External> {
    let (kind, rest) = text.split_once('[')?;
    // A mount point may hold `]`, so the bracket that counts is the one before a colon, else the last character.
    let (key, value) = match rest.split_once("]:") {
        Some((key, value)) => (key, Some(value)),
        None => (rest.strip_suffix(']')?, None),
    };
    let named = || value.filter(|v| !v.is_empty()).map(str::to_owned);
    Some(match kind {
        // Some callers write a colon and a name after these; nothing depends on it.
        "file" => {
            let (mnt_id, inode) = hex_pair(key)?;
            External::File { mnt_id: u32::try_from(mnt_id).ok()?, inode }
        }
        "tty" => {
            let (rdev, dev) = hex_pair(key)?;
            External::Tty { rdev, dev }
        }
        "unix" => External::Unix { inode: decimal(key)? },
        "mnt" => External::Mount { key: key.to_owned(), value: value?.to_owned() },
        "dev" => {
            let (major, minor) = key.split_once('/')?;
            External::Device { major: decimal(major)?, minor: decimal(minor)?, name: named()? }
        }
        "net" => External::Namespace { kind: "net", inode: decimal(key)?, name: named()? },
        "pid" => External::Namespace { kind: "pid", inode: decimal(key)?, name: named()? },
        "veth" if !key.is_empty() => External::Link { kind: "veth", inside: key.to_owned(), outside: named()? },
        "macvlan" if !key.is_empty() => External::Link { kind: "macvlan", inside: key.to_owned(), outside: named()? },
        _ => return None,
    })
}

impl fmt::Display for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            External::File { mnt_id, inode } => write!(f, "file[{mnt_id:x}:{inode:x}]"),
            External::Tty { rdev, dev } => write!(f, "tty[{rdev:x}:{dev:x}]"),
            External::Unix { inode } => write!(f, "unix[{inode}]"),
            External::Mount { key, value } => write!(f, "mnt[{key}]:{value}"),
            External::Device { major, minor, name } => write!(f, "dev[{major}/{minor}]:{name}"),
            External::Namespace { kind, inode, name } => write!(f, "{kind}[{inode}]:{name}"),
            External::Link { kind, inside, outside } => write!(f, "{kind}[{inside}]:{outside}"),
        }
    }
}

/// One `--inherit-fd fd[N]:KEY`: the caller's descriptor takes the place of the object that the key names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InheritFd {
    /// The caller's descriptor.
    pub fd: FdNumber,
    /// The object of the images.
    pub key: InheritKey,
}

/// Which object of the images a descriptor stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InheritKey {
    /// `pipe:[INODE]`: one end of a pipe, by the pipe's id in the images.
    Pipe {
        /// Inode at dump.
        inode: u64,
    },
    /// `socket:[INODE]`.
    Socket {
        /// Inode at dump.
        inode: u64,
    },
    /// `tty[RDEV:DEV]`.
    Tty {
        /// `st_rdev` at dump.
        rdev: u64,
        /// `st_dev` at dump.
        dev: u64,
    },
    /// `file[MNT_ID:INODE]`: what `--external file[…]` named at dump.
    File {
        /// Mount id at dump.
        mnt_id: u32,
        /// Inode at dump.
        inode: u64,
    },
    /// `/memfd:NAME`.
    Memfd {
        /// The name given to memfd_create.
        name: String,
    },
    /// A file by its path in the images, or the name of an external namespace. Without the first slash.
    Path(PathBuf),
}

impl FromStr for InheritFd {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        parse_inherit(text).ok_or_else(|| {
            let expected = "fd[N]:KEY, the key being pipe:[INODE], socket:[INODE], tty[RDEV:DEV], file[MNT_ID:INODE], \
                            /memfd:NAME or a path without its first slash";
            OptionError::bad("--inherit-fd", text, expected)
        })
    }
}

fn parse_inherit(text: &str) -> Option<InheritFd> {
    let (fd, key) = text.strip_prefix("fd[")?.split_once("]:")?;
    let bracketed = |prefix: &str| key.strip_prefix(prefix)?.strip_suffix(']');
    let key = if let Some(inode) = bracketed("pipe:[") {
        InheritKey::Pipe { inode: decimal(inode)? }
    } else if let Some(inode) = bracketed("socket:[") {
        InheritKey::Socket { inode: decimal(inode)? }
    } else if let Some(pair) = bracketed("tty[") {
        let (rdev, dev) = hex_pair(pair)?;
        InheritKey::Tty { rdev, dev }
    } else if let Some(pair) = bracketed("file[") {
        let (mnt_id, inode) = hex_pair(pair)?;
        InheritKey::File { mnt_id: u32::try_from(mnt_id).ok()?, inode }
    } else if let Some(name) = key.strip_prefix("/memfd:").or_else(|| key.strip_prefix("memfd:")) {
        InheritKey::Memfd { name: name.to_owned() }
    } else if key.is_empty() {
        return None;
    } else {
        InheritKey::Path(PathBuf::from(key.strip_prefix('/').unwrap_or(key)))
    };
    Some(InheritFd { fd: fd.parse().ok()?, key })
}

impl fmt::Display for InheritFd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fd[{}]:", self.fd)?;
        match &self.key {
            InheritKey::Pipe { inode } => write!(f, "pipe:[{inode}]"),
            InheritKey::Socket { inode } => write!(f, "socket:[{inode}]"),
            InheritKey::Tty { rdev, dev } => write!(f, "tty[{rdev:x}:{dev:x}]"),
            InheritKey::File { mnt_id, inode } => write!(f, "file[{mnt_id:x}:{inode:x}]"),
            InheritKey::Memfd { name } => write!(f, "/memfd:{name}"),
            InheritKey::Path(path) => path.display().fmt(f),
        }
    }
}

/// `A:B`, both hexadecimal without `0x`.
fn hex_pair(text: &str) -> Option<(u64, u64)> {
    let (a, b) = text.split_once(':')?;
    let hex = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|c| c.is_ascii_hexdigit());
        if digits { u64::from_str_radix(part, 16).ok() } else { None }
    };
    Some((hex(a)?, hex(b)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_forms_read_back_as_written() {
        for text in [
            "file[1a:ff03]",
            "tty[8800:19]",
            "unix[4711]",
            "mnt[/data]:cookie",
            "mnt[]:sm",
            "mnt[/a]b]:c",
            "dev[8/1]:disk",
            "net[4026531840]:extNetNS",
            "pid[4026531836]:extPidNS",
            "veth[eth0]:veth7@br0",
            "macvlan[eth0]:eth1",
        ] {
            assert_eq!(text.parse::<External>().map(|e| e.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("file[1A:2]".parse(), Ok(External::File { mnt_id: 26, inode: 2 }));
    }

    #[test]
    fn malformed_externals_are_refused() {
        for text in
            ["", "file", "file[", "file[]", "file[1]", "file[x:1]", "file[+1:1]", "file[1:1", "mnt[a]", "dev[8]:x"]
        {
            assert!(text.parse::<External>().is_err(), "{text}");
        }
        for text in ["net[1]:", "net[a]:b", "veth[]:a", "uts[1]:a", "file[100000000:1]"] {
            assert!(text.parse::<External>().is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_is_written(text in r"(file|mnt|dev|net|tty|fd)?\[[0-9a-f/:\]]{0,8}\]?:?.{0,6}") {
            if let Ok(external) = text.parse::<External>() {
                assert_eq!(external.to_string().parse(), Ok(external));
            }
            if let Ok(inherit) = text.parse::<InheritFd>() {
                assert_eq!(inherit.to_string().parse(), Ok(inherit));
            }
        }
    }

    #[test]
    fn inherited_descriptors() {
        let fd = |n: &str| n.parse::<FdNumber>().expect("a number");
        let parse = |text: &str| text.parse::<InheritFd>();
        assert_eq!(parse("fd[5]:pipe:[77]"), Ok(InheritFd { fd: fd("5"), key: InheritKey::Pipe { inode: 77 } }));
        assert_eq!(parse("fd[0]:var/log/a"), Ok(InheritFd { fd: fd("0"), key: InheritKey::Path("var/log/a".into()) }));
        for text in ["fd[5]:pipe:[77]", "fd[1]:socket:[3]", "fd[1]:tty[8801:18]", "fd[9]:file[2:3]", "fd[3]:/memfd:x"] {
            assert_eq!(parse(text).map(|i| i.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "5:pipe:[1]", "fd[]:a", "fd[-1]:a", "fd[5]:", "fd[5]", "fd[5]:pipe:[x]"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
