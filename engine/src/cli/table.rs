//! Every command and option that is known, in one table: its form, where it applies, and whether it is built.
//!
//! Parsing, help, configuration files and the refusal of what is not built yet all follow from here.

/// A command of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Freeze a tree and write its images.
    Dump,
    /// Write memory only and leave the tree running.
    PreDump,
    /// Bring a tree back.
    Restore,
    /// Say what this kernel and user allow.
    Check,
    /// Receive pages and store them.
    PageServer,
    /// Serve page faults of a restore.
    LazyPages,
    /// Punch out of parent images what newer ones hold.
    Dedup,
    /// Write or compare the CPU's features.
    Cpuinfo,
    /// RPC on a socket of its own.
    Service,
    /// RPC on an inherited descriptor.
    Swrk,
    /// Print images (ours).
    Show,
    /// Make an image of JSON (ours).
    Encode,
}

/// A line of the table of commands.
pub struct VerbSpec {
    /// As it is typed.
    pub name: &'static str,
    /// What it is.
    pub verb: Verb,
    /// What follows it, for the help.
    pub usage: &'static str,
    /// Whether it can be run.
    pub built: bool,
    /// One line of help.
    pub help: &'static str,
}

const fn verb(name: &'static str, verb: Verb, usage: &'static str, built: bool, help: &'static str) -> VerbSpec {
    VerbSpec { name, verb, usage, built, help }
}

/// All commands, in the order of the help.
pub const VERBS: &[VerbSpec] = &[
    verb("dump", Verb::Dump, "-t PID [OPTIONS]", true, "freeze the tree, write its images, then kill it"),
    verb("restore", Verb::Restore, "[OPTIONS]", true, "bring the tree back and wait for its root"),
    verb("check", Verb::Check, "[-t PID | --feature NAME] [OPTIONS]", true, "say what would fail: here, or of a tree"),
    verb("cpuinfo", Verb::Cpuinfo, "dump|check [OPTIONS]", true, "write the CPU's features, or compare them"),
    verb("show", Verb::Show, "DIR|FILE… [--json]", true, "print images as JSON, or one page about a directory"),
    verb("encode", Verb::Encode, "JSON IMAGE", true, "make an image of the JSON that show printed"),
    verb("pre-dump", Verb::PreDump, "-t PID [OPTIONS]", false, "write memory only and leave the tree running"),
    verb("page-server", Verb::PageServer, "[OPTIONS]", false, "receive pages and store them as images"),
    verb("lazy-pages", Verb::LazyPages, "-D DIR [OPTIONS]", false, "serve page faults of a restore"),
    verb("dedup", Verb::Dedup, "[OPTIONS]", false, "punch out of parent images what newer ones hold"),
    verb("service", Verb::Service, "[OPTIONS]", false, "serve RPC on a unix socket"),
    verb("swrk", Verb::Swrk, "FD", false, "serve RPC on an inherited socket"),
];

/// What an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing; `--no-NAME` takes it back.
    Nothing,
    /// A value, named so in the help.
    Value(&'static str),
    /// `=VALUE` or nothing; then the second text stands for it.
    Perhaps(&'static str, &'static str),
}

/// Whether using an option does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It does what it says.
    Built,
    /// It is accepted and has no effect; the text says why that is right.
    Note(&'static str),
    /// Its use fails: the objects it is about are not built yet.
    KnownNotBuilt,
}

/// A line of the table of options.
pub struct Opt {
    /// The long name without dashes.
    pub long: &'static str,
    /// The short name.
    pub short: Option<char>,
    /// What it takes.
    pub takes: Takes,
    /// Whether its values add up; else the last one counts.
    pub repeats: bool,
    /// The commands to which it means something; empty for all.
    pub verbs: &'static [Verb],
    /// Whether it is built.
    pub state: State,
    /// One line of help.
    pub help: &'static str,
}

impl Opt {
    const fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    const fn many(mut self) -> Self {
        self.repeats = true;
        self
    }

    const fn on(mut self, verbs: &'static [Verb]) -> Self {
        self.verbs = verbs;
        self
    }

    const fn note(mut self, why: &'static str) -> Self {
        self.state = State::Note(why);
        self
    }

    const fn later(mut self) -> Self {
        self.state = State::KnownNotBuilt;
        self
    }

    /// Whether the option means something to `verb`. A check of a tree takes all options of the dump that it foresees.
    pub fn applies_to(&self, verb: Verb) -> bool {
        let foreseen = verb == Verb::Check && self.verbs.contains(&Verb::Dump);
        self.verbs.is_empty() || self.verbs.contains(&verb) || foreseen
    }

    /// Whether `--no-NAME` exists.
    pub fn has_negation(&self) -> bool {
        self.takes == Takes::Nothing && !self.long.starts_with("no-") && !matches!(self.long, "help" | "version")
    }
}

const fn opt(long: &'static str, takes: Takes, help: &'static str) -> Opt {
    Opt { long, short: None, takes, repeats: false, verbs: &[], state: State::Built, help }
}

const fn flag(long: &'static str, help: &'static str) -> Opt {
    opt(long, Takes::Nothing, help)
}

const fn value(long: &'static str, name: &'static str, help: &'static str) -> Opt {
    opt(long, Takes::Value(name), help)
}

/// The option of that long name.
pub fn find(long: &str) -> Option<&'static Opt> {
    OPTIONS.iter().find(|o| o.long == long)
}

/// The option of that short name.
pub fn find_short(short: char) -> Option<&'static Opt> {
    OPTIONS.iter().find(|o| o.short == Some(short))
}

const NO_SOCKETS: &str = "internet sockets are not built yet, and one in the tree fails the dump";
const NO_NAMESPACES: &str = "namespaces and their sysctls are not built yet";
const BOTH: &[Verb] = &[Verb::Dump, Verb::PreDump, Verb::Restore];
const DUMP: &[Verb] = &[Verb::Dump, Verb::PreDump];
const RESTORE: &[Verb] = &[Verb::Restore];
const TREE: &[Verb] = &[Verb::Dump, Verb::PreDump, Verb::Check];
const CPU: &[Verb] = &[Verb::Dump, Verb::PreDump, Verb::Restore, Verb::Cpuinfo];
const CHECK: &[Verb] = &[Verb::Check];
const PAGES: &[Verb] = &[Verb::Dump, Verb::PreDump, Verb::Restore, Verb::PageServer, Verb::LazyPages];

/// All options, in the order of the help.
pub const OPTIONS: &[Opt] = &[
    // where things are
    value("tree", "PID", "the root of the tree").short('t').on(TREE),
    value("images-dir", "DIR", "where the images are (default: the current directory)").short('D'),
    value("work-dir", "DIR", "where logs, pid files and statistics go (default: the images directory)").short('W'),
    value("prev-images-dir", "DIR", "parent images, relative to the images directory").on(BOTH).later(),
    // logging
    value("log-file", "FILE", "write messages to FILE in the work directory").short('o'),
    opt("verbosity", Takes::Perhaps("N", ""), "-v1 errors, -v2 warnings (default), -v3 information, -v4 debugging")
        .short('v'),
    flag("log-pid", "what concerns one task goes to FILE.PID").on(BOTH),
    flag("display-stats", "print the statistics at the end").on(BOTH),
    value("status-fd", "FD", "write one NUL byte to FD when ready"),
    value("pidfile", "FILE", "write the root's pid to FILE in the work directory"),
    // what becomes of the tree
    flag("leave-stopped", "leave the tree stopped").short('s').on(BOTH),
    flag("leave-running", "leave the tree running").short('R').on(DUMP),
    flag("restore-detached", "return when the tree runs, do not wait for it").short('d').on(RESTORE),
    flag("restore-sibling", "the root becomes a sibling of the engine").short('S').on(RESTORE),
    flag("exec-cmd", "run the command after `--` as the parent of the restored tree").on(RESTORE),
    flag("shell-job", "the session leader or the terminal may lie outside the tree").short('j').on(BOTH),
    value("timeout", "SECONDS", "how long freezing may take (default: 10)").on(BOTH),
    flag("sync", "make the images durable before success is reported").on(DUMP),
    // files
    flag("file-locks", "file locks may be held").short('l').on(BOTH),
    flag("link-remap", "a deleted name gets a new name instead of a copy").on(DUMP),
    value("ghost-limit", "SIZE", "largest deleted file to be copied, with K, M, G (default: 1M)").on(DUMP),
    flag("ghost-fiemap", "find the holes of deleted files by FIEMAP").on(DUMP),
    value("file-validation", "METHOD", "filesize, or buildid (default) too").on(BOTH),
    flag("skip-file-rwx-check", "permission bits of files may have changed").on(RESTORE),
    value("external", "RES", "an object that is supplied again instead of being dumped").many().on(BOTH),
    value("inherit-fd", "fd[N]:KEY", "descriptor N takes the place of the object KEY").many().on(RESTORE),
    flag("ext-unix-sk", "a datagram socket may be connected to one outside the tree, by its name").short('x').on(BOTH),
    flag("evasive-devices", "a device may be opened by another path").on(BOTH),
    flag("force-irmap", "look for names of watched inodes in any case")
        .on(DUMP)
        .note("no watches of inodes can be dumped yet"),
    value("irmap-scan-path", "PATH", "also look there").many().on(DUMP).later(),
    // mounts and namespaces
    value("root", "PATH", "the directory that becomes the tree's root").short('r').on(RESTORE),
    value("skip-mnt", "PATH", "leave this mount out").many().on(DUMP).later(),
    value("enable-fs", "LIST", "treat these file systems as ones to be dumped").on(BOTH).later(),
    flag("mntns-compat-mode", "restore mounts the old way").on(RESTORE).later(),
    value("empty-ns", "net", "leave this namespace empty").many().on(BOTH).later(),
    value("join-ns", "NS:PID|FILE", "restore into this namespace").short('J').many().on(RESTORE).later(),
    flag("weak-sysctls", "an absent sysctl is no error").on(RESTORE).note(NO_NAMESPACES),
    // network
    flag("tcp-established", "keep open TCP connections").on(BOTH).note(NO_SOCKETS),
    flag("tcp-close", "close open TCP connections").on(BOTH).note(NO_SOCKETS),
    flag("skip-in-flight", "leave half-open TCP connections out").on(DUMP).note(NO_SOCKETS),
    value("network-lock", "METHOD", "nftables, iptables or skip").on(BOTH).note(NO_SOCKETS),
    // cgroups and security modules
    opt("manage-cgroups", Takes::Perhaps("MODE", "soft"), "none, props, soft, full, strict or ignore").on(BOTH),
    value("freeze-cgroup", "PATH", "freeze by the cgroup at PATH").on(DUMP),
    value("cgroup-root", "[CTRL:]PATH", "the root of the tree's cgroups").many().on(BOTH).later(),
    value("cgroup-props", "YAML", "which properties are kept").on(BOTH).later(),
    value("cgroup-props-file", "FILE", "the same, in a file").on(BOTH).later(),
    value("cgroup-dump-controller", "NAME", "dump this controller's properties only").many().on(DUMP).later(),
    value("cgroup-yard", "PATH", "where the controllers are mounted").on(BOTH).later(),
    value("lsm-profile", "TYPE:NAME", "the profile to be used").on(RESTORE).later(),
    value("lsm-mount-context", "CTX", "the mount context to be used").on(RESTORE).later(),
    // memory
    flag("track-mem", "track what is written after this dump").on(DUMP).later(),
    flag("auto-dedup", "punch out of parent images what is written anew").on(PAGES).later(),
    value("pre-dump-mode", "MODE", "splice (default) or read").on(DUMP),
    flag("page-server", "send the pages to a page server").on(DUMP).later(),
    value("address", "ADDRESS", "the page server's address").on(PAGES).later(),
    value("port", "PORT", "the page server's port").on(PAGES).later(),
    value("ps-socket", "FD", "the connection of the page server").on(PAGES).later(),
    flag("lazy-pages", "bring pages when they are touched").on(PAGES).later(),
    flag("daemon", "the server works in the background").on(PAGES).later(),
    flag("stream", "images go through a streamer").on(BOTH).later(),
    flag("tls", "TLS for the page server").on(PAGES).later(),
    value("tls-cacert", "FILE", "the authority's certificate").on(PAGES).later(),
    value("tls-cacrl", "FILE", "revoked certificates").on(PAGES).later(),
    value("tls-cert", "FILE", "our certificate").on(PAGES).later(),
    value("tls-key", "FILE", "our key").on(PAGES).later(),
    flag("tls-no-cn-verify", "do not verify the common name").on(PAGES).later(),
    // the rest
    value("action-script", "FILE", "run FILE at each stage").many().on(BOTH).later(),
    opt("cpu-cap", Takes::Perhaps("CAPS", "all"), "what of the CPU must match: cpu, fpu, ins, all, none, ^CAP").on(CPU),
    value("close", "FD", "close this descriptor first").many(),
    value("libdir", "DIR", "where plugins are").note("there are no plugins to be loaded"),
    flag("unprivileged", "work without root").later(),
    value("feature", "NAME", "only probe for this feature; `list` names them all").many().on(CHECK),
    flag("extra", "also probe for what only some trees need").on(CHECK),
    flag("experimental", "also probe for what nothing depends on yet").on(CHECK),
    flag("all", "probe for everything").on(CHECK),
    flag("json", "print JSON").on(&[Verb::Check, Verb::Show]),
    flag("reseal", "renew the manifest beside the image").on(&[Verb::Encode]),
    value("config", "FILE", "read defaults from FILE too"),
    flag("no-default-config", "do not read /etc/criu/default.conf and ~/.criu/default.conf"),
    // For the tests; see CONTRIBUTING. A line without help is not shown.
    value("fault-at", "N", ""),
    flag("help", "print this").short('h'),
    flag("version", "print the version").short('V'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_do_not_collide_with_negations() {
        let mut names: Vec<String> = OPTIONS.iter().map(|o| o.long.to_owned()).collect();
        names.extend(OPTIONS.iter().filter(|o| o.has_negation()).map(|o| format!("no-{}", o.long)));
        let shorts: Vec<char> = OPTIONS.iter().filter_map(|o| o.short).collect();
        let (all, all_shorts) = (names.len(), shorts.len());
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
        assert_eq!(shorts.iter().collect::<std::collections::BTreeSet<_>>().len(), all_shorts);
    }

    #[test]
    fn short_names_are_those_of_criu() {
        let shorts = "t:tree D:images-dir W:work-dir o:log-file v:verbosity d:restore-detached S:restore-sibling \
                      j:shell-job s:leave-stopped R:leave-running l:file-locks r:root x:ext-unix-sk J:join-ns h:help V:version";
        for pair in shorts.split_whitespace() {
            let (short, long) = pair.split_once(':').expect("a pair");
            assert_eq!(find_short(short.chars().next().expect("a letter")).map(|o| o.long), Some(long));
        }
    }
}
