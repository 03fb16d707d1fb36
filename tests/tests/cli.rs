//! The command line as a user and as a calling program sees it: the built binary, its exit status and its words.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

/// The engine under test: `STASIS_ENGINE`, or the one that belongs to this build, made anew when cargo runs us.
fn engine() -> &'static Path {
    static ENGINE: OnceLock<PathBuf> = OnceLock::new();
    ENGINE.get_or_init(|| {
        if let Some(engine) = std::env::var_os("STASIS_ENGINE") {
            return engine.into();
        }
        let own = std::env::current_exe().expect("the path of this test");
        let profile = own.parent().and_then(Path::parent).expect("target/PROFILE/deps").to_owned();
        if let Some(cargo) = std::env::var_os("CARGO") {
            let mut build = Command::new(cargo);
            build.args(["build", "--quiet", "--package", "stasis", "--bin", "stasis", "--target-dir"]);
            build.arg(profile.parent().expect("target"));
            if !cfg!(debug_assertions) {
                build.arg("--release");
            }
            assert!(build.status().expect("cargo").success(), "the engine does not build");
        }
        let engine = profile.join("stasis");
        assert!(engine.exists(), "no {}: cargo build --package stasis, or set STASIS_ENGINE", engine.display());
        engine
    })
}

/// A directory of images with a home directory of nobody beside it.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(dir.path().join("home/.criu")).expect("a home directory");
        fs::create_dir(dir.path().join("images")).expect("an images directory");
        Place { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("a file");
        path
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(engine());
        command.args(line.split_whitespace()).current_dir(self.path("images"));
        command.env("HOME", self.path("home")).env_remove("CRIU_CONFIG_FILE");
        command
    }

    fn run(&self, line: &str) -> Result {
        Result::of(&mut self.command(line))
    }

    /// The log files that were made.
    fn logs(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("images")).expect("the images directory");
        let mut names: Vec<_> =
            entries.map(|e| e.expect("an entry").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }
}

struct Result {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Result {
    fn of(command: &mut Command) -> Result {
        let Output { status, stdout, stderr } = command.output().expect("the engine");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Result { status: status.code(), out: text(stdout), err: text(stderr) }
    }

    /// Failed as CRIU fails: status 1, and a line with the word Error that says `what`.
    #[track_caller]
    fn refused(&self, what: &str) {
        assert_eq!(self.status, Some(1), "{}{}", self.out, self.err);
        assert!(self.err.contains("Error (") && self.err.contains(what), "no `{what}` in: {}", self.err);
    }

    #[track_caller]
    fn fine(self) -> Result {
        assert_eq!(self.status, Some(0), "{}{}", self.out, self.err);
        self
    }
}

#[test]
fn version_is_on_a_line_of_its_own() {
    for line in ["--version", "-V", "dump --version", "--version check"] {
        let result = Place::new().run(line).fine();
        assert_eq!(result.out.lines().next(), Some("Version: 4.2"), "{line}");
        assert!(result.out.lines().nth(1).is_some_and(|l| l.starts_with("Stasis ")), "{line}");
    }
}

#[test]
fn help_names_commands_and_options() {
    let place = Place::new();
    let all = place.run("--help").fine().out;
    for word in ["dump", "restore", "check", "cpuinfo", "show", "--tree PID", "--manage-cgroups[=MODE]", "--no-NAME"] {
        assert!(all.contains(word), "{word}");
    }
    let check = place.run("check --help").fine().out;
    // Of a tree it takes what a dump takes.
    assert!(
        check.contains("--feature") && check.contains("--ghost-limit") && !check.contains("--inherit-fd"),
        "{check}"
    );
}

#[test]
fn a_link_named_criu_behaves_the_same() {
    let place = Place::new();
    let link = place.path("criu");
    symlink(engine(), &link).expect("a link");
    let result = Result::of(Command::new(&link).arg("--version")).fine();
    assert_eq!(result.out.lines().next(), Some("Version: 4.2"));
    let result = Result::of(Command::new(&link).args(["--no-default-config", "check", "--feature", "mnt_id"])).fine();
    assert_eq!(result.out, "mnt_id is there\n");
    assert!(Result::of(Command::new(&link).arg("--help")).fine().out.starts_with("criu COMMAND"));
}

/// No task has the pid 4000000 here, so that a line that is accepted by mistake dumps nobody.
#[test]
fn wrong_usage_exits_1() {
    let place = Place::new();
    for (line, what) in [
        ("", "no command given"),
        ("frobnicate", "`frobnicate` is no command"),
        ("dump", "needs the root of the tree"),
        ("dump -t 0", "a positive number"),
        ("dump -t -5", "`-5` is no value of --tree"),
        ("dump -t 99999999999", "is no value of --tree"),
        ("dump -t 4000000 2", "unexpected `2`"),
        ("dump -t 4000000 --nonsense", "--nonsense"),
        ("dump -t", "--tree"),
        ("dump -t 4000000 --ghost-limit 3X", "`3X` is no value of --ghost-limit"),
        ("dump -t 4000000 --external nothing[1]", "--external"),
        ("dump -t 4000000 --file-locks=yes", "--file-locks"),
        ("dump -t 4000000 --timeout 0", "--timeout"),
        ("dump -t 4000000 --timeout 5s", "`5s` is no value of --timeout"),
        ("dump -t 4000000 --network-lock firewalld", "--network-lock"),
        ("dump -t 4000000 --manage-cgroups=some", "--manage-cgroups"),
        ("dump -t 4000000 --verbosity=loud", "`loud` is no verbosity"),
        ("dump -t 4000000 --cpu-cap=mmu", "--cpu-cap"),
        ("restore --inherit-fd 3:pipe:[1]", "--inherit-fd"),
        ("restore --restore-sibling", "--restore-detached"),
        ("restore --exec-cmd", "needs a command"),
        ("restore -d --exec-cmd -- true", "exclude each other"),
        ("restore -- true", "--exec-cmd"),
        ("check -- true", "takes nothing after"),
        ("check --close 77", "--close 77"),
        ("check --close 1", "standard stream"),
        ("cpuinfo", "`dump`, `check`"),
        ("cpuinfo print", "`dump`, `check`"),
        ("show", "image files"),
        ("encode one", "JSON"),
    ] {
        place.run(line).refused(what);
    }
}

#[test]
fn a_tree_is_looked_at_beforehand() {
    let place = Place::new();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let mut child = Command::new("sleep").arg("60").stdin(OwnedFd::from(socket)).spawn().expect("a process");
    let text = place.run(&format!("check --shell-job -t {}", child.id()));
    let json = place.run(&format!("check --shell-job --json -t {}", child.id()));
    child.kill().expect("to end it");
    child.wait().expect("its end");
    assert_eq!((text.status, json.status), (Some(1), Some(1)), "{}{}", text.out, text.err);
    for line in ["descriptor 0 (socket:[", "help: close the descriptor", "A dump of this process would fail."] {
        assert!(text.out.contains(line), "no `{line}` in: {}", text.out);
    }
    let json: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(json["good"], false);
    assert_eq!(json["processes"][0]["findings"][0]["verdict"], "refused");
    assert_eq!(json["processes"][0]["findings"][0]["help"], "close the descriptor before the dump");
}

#[test]
fn what_is_not_built_yet_says_so() {
    let place = Place::new();
    let dump = "--prev-images-dir=a --track-mem --auto-dedup --pre-dump-mode=read --page-server --address=a --port=1 \
        --ps-socket=3 --lazy-pages --tls --tls-cacert=a --tls-cacrl=a --tls-cert=a --tls-key=a --tls-no-cn-verify \
        --empty-ns=net --cgroup-root=/a --cgroup-props=a --cgroup-props-file=a --cgroup-dump-controller=a \
        --cgroup-yard=a --unprivileged --stream --skip-mnt=/a --enable-fs=all --irmap-scan-path=/a --daemon \
        --manage-cgroups --manage-cgroups=full --external=mnt[/a]:b";
    let restore = "--join-ns=net:3 --lsm-profile=apparmor:a --lsm-mount-context=a --mntns-compat-mode --empty-ns=net \
        --lazy-pages";
    for (command, options) in [("dump -t 4000000", dump), ("restore", restore)] {
        for option in options.split_whitespace() {
            let result = place.run(&format!("{command} {option}"));
            result.refused("known but not built yet");
            result.refused(option.split('=').next().expect("a name"));
        }
    }
    place.run("check --tree 4000000").refused("there is no process 4000000");
    for command in ["pre-dump -t 4000000", "page-server", "lazy-pages", "dedup", "service", "swrk 3"] {
        let name = command.split(' ').next().expect("a name");
        place.run(command).refused(&format!("`{name}` is known but not built yet"));
    }
}

#[test]
fn what_has_no_effect_is_accepted_with_a_note() {
    let place = Place::new();
    let result = place.run("check --feature mnt_id -v3 --libdir /usr/lib --no-track-mem --tcp-established").fine();
    assert!(result.err.contains("--libdir has no effect"), "{}", result.err);
    assert!(result.err.contains("--tcp-established has no effect"), "{}", result.err);
    assert!(!result.err.contains("track-mem"), "{}", result.err);
    assert_eq!(place.run("check --feature mnt_id --libdir /usr/lib").fine().err, "");
}

#[test]
fn configuration_is_overridden_by_what_is_nearer() {
    let place = Place::new();
    let (named, environment) =
        (place.write("named.conf", "log-file named.log"), place.write("env.conf", "log-file 'env.log'"));
    place.write("home/.criu/default.conf", "# ours\nlog-file home.log # here\n");
    let line = "check --feature mnt_id";
    let mut expected = Vec::new();
    let mut step = |command: &mut Command, log: &str| {
        Result::of(command).fine();
        expected.push(log.to_owned());
        expected.sort();
        assert_eq!(place.logs(), expected);
    };
    step(&mut place.command(line), "home.log");
    step(place.command(line).arg("--config").arg(&named), "named.log");
    let all = |extra: &str| {
        let mut command = place.command(&format!("{extra} {line}"));
        command.arg("--config").arg(&named).env("CRIU_CONFIG_FILE", &environment);
        command
    };
    step(&mut all(""), "env.log");
    step(&mut all("-o line.log"), "line.log");
    fs::remove_file(place.path("images/home.log")).expect("a log");
    Result::of(&mut place.command(&format!("--no-default-config {line}"))).fine();
    assert!(!place.path("images/home.log").exists());
}

#[test]
fn configuration_errors_name_file_and_line() {
    let place = Place::new();
    let bad = place.write("bad.conf", "json\n\nnonsense\n");
    let run = |path: &Path| Result::of(place.command("check --config").arg(path));
    run(&bad).refused("bad.conf:3: `nonsense` is no option");
    run(Path::new("/nonexistent/a.conf")).refused("/nonexistent/a.conf");
    let later = place.write("later.conf", "lsm-profile apparmor:x\nghost-limit 3M");
    Result::of(place.command("restore --config").arg(&later)).refused("from a configuration file");
    assert_eq!(Result::of(place.command("check --feature mnt_id --config").arg(&later)).fine().err, "");
}

#[test]
fn a_flag_is_taken_back_by_its_opposite() {
    let place = Place::new();
    place.write("home/.criu/default.conf", "json");
    let is_json = |line: &str| place.run(line).fine().out.starts_with('{');
    assert!(is_json("check --feature mnt_id"));
    assert!(!is_json("check --feature mnt_id --no-json"));
    assert!(is_json("check --no-json --feature mnt_id --json"));
}

#[test]
fn the_log_has_levels_and_seconds() {
    let place = Place::new();
    place.run("check --feature mnt_id -v4 -o four.log").fine();
    let log = fs::read_to_string(place.path("images/four.log")).expect("a log");
    assert!(log.starts_with("(00.00") && log.contains("mnt_id"), "{log}");
    let result = place.run("check --feature teleport --log-file error.log");
    result.refused("`teleport` is no feature");
    let log = fs::read_to_string(place.path("images/error.log")).expect("a log");
    assert!(log.starts_with("Error (check): `teleport` is no feature"), "{log}");
    place.run("check -W /nonexistent -o a.log").refused("/nonexistent/a.log");
}

#[test]
fn check_ends_with_what_its_status_says() {
    let place = Place::new();
    for line in ["check", "check --extra", "check --experimental", "check --all"] {
        let result = place.run(line);
        let good = result.out.lines().last() == Some("Looks good.");
        assert_eq!(result.status, Some(i32::from(!good)), "{line}: {}", result.out);
        let json = place.run(&format!("{line} --json"));
        let json: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
        assert_eq!(json["good"], good, "{line}");
        for missing in json["missing"].as_array().expect("a list") {
            let name = missing["name"].as_str().expect("a name");
            assert!(result.out.contains(&format!("no {name}: ")), "{line}: {name} is not said");
            assert!(missing["consequence"].as_str().is_some_and(|c| !c.is_empty()));
        }
    }
}

#[test]
fn a_single_feature_is_its_exit_status() {
    let place = Place::new();
    assert_eq!(place.run("check --feature openat2").fine().out, "openat2 is there\n");
    let absent = place.run("check --feature external_net_ns");
    assert_eq!(absent.status, Some(1));
    assert!(absent.out.contains("no external_net_ns: "), "{}", absent.out);
    assert_eq!(place.run("check --feature openat2 --feature external_net_ns").status, Some(1));
    let unknown = place.run("check --feature teleport");
    unknown.refused("`teleport` is no feature");
    unknown.refused("pagemap_scan, pagemap_scan_guard_pages");
    let list = place.run("check --feature list").fine().out;
    assert!(list.lines().any(|l| l == "uffd-noncoop"), "{list}");
}

#[test]
fn check_without_privileges_says_what_is_missing() {
    let mut command = Command::new(engine());
    if nix::unistd::geteuid().is_root() {
        command = Command::new("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all"]).arg(engine());
    }
    let result = Result::of(command.args(["--no-default-config", "check"]));
    assert_eq!(result.status, Some(1), "{}{}", result.out, result.err);
    assert!(result.out.contains("no cap_sys_ptrace: not capable of CAP_SYS_PTRACE"), "{}", result.out);
    assert!(result.out.lines().last().is_some_and(|l| l.contains("cap_checkpoint_restore")), "{}", result.out);
}

/// Images made by CRIU.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/criu-4.2").join(name)
}

#[test]
fn images_are_shown_and_made_again() {
    let place = Place::new();
    let image = fixture("single/pstree.img");
    let shown = Result::of(place.command("show").arg(&image)).fine().out;
    let json: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(json["magic"], "PSTREE");
    let text = place.write("pstree.json", &shown);
    let made = place.path("images/pstree.img");
    Result::of(place.command("encode").args([&text, &made])).fine();
    assert_eq!(fs::read(&made).expect("an image"), fs::read(&image).expect("an image"));

    let page = Result::of(place.command("show").arg(fixture("tree"))).fine().out;
    assert!(page.lines().count() > 5, "{page}");
    let json = Result::of(place.command("show --json").arg(fixture("tree"))).fine().out;
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok_and(|j| j.is_object()), "{json}");

    Result::of(place.command("show").arg(&text)).refused("pstree.json");
    place.run("show /nonexistent").refused("/nonexistent");
    place.run("encode /nonexistent out.img").refused("/nonexistent");
}

#[test]
fn the_cpu_is_written_and_compared() {
    let place = Place::new();
    place.run("cpuinfo check").refused("cpuinfo.img");
    place.run("cpuinfo dump").fine();
    for caps in ["", "--cpu-cap", "--cpu-cap=all", "--cpu-cap=cpu,^fpu", "--cpu-cap=none"] {
        place.run(&format!("cpuinfo check {caps}")).fine();
    }
    let image = place.path("images/cpuinfo.img");
    let shown = Result::of(place.command("show").arg(&image)).fine().out;
    let mut json: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    // Only x86 has words with names; the other CPUs' are tested beside the code.
    let Some(cpu) = json["entries"][0]["x86_entry"][0].as_object_mut() else { return };
    cpu["capability"].as_array_mut().expect("words")[23] = serde_json::json!(1 << 21);
    cpu.insert("xfeatures_mask".into(), serde_json::json!(7u64 | 1 << 19));
    let text = place.write("cpu.json", &json.to_string());
    Result::of(place.command("encode").args([&text, &image])).fine();
    let result = place.run("cpuinfo check");
    result.refused("`apx_f`");
    result.refused("extended state 19 (apx) is missing here");
    place.run("cpuinfo check --cpu-cap=ins").refused("`apx_f`");
    place.run("cpuinfo check --cpu-cap=none").fine();
}

#[test]
fn descriptors_are_closed_when_asked() {
    let place = Place::new();
    let line = format!("exec 9</dev/null; exec '{}' --close 9 check --feature mnt_id", engine().display());
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]).env("HOME", place.path("home"));
    Result::of(&mut shell).fine();
}

#[test]
fn a_thread_is_no_root() {
    let (place, own) = (Place::new(), std::process::id());
    let thread = nix::unistd::gettid();
    assert_ne!(thread.as_raw() as u32, own, "tests run in threads");
    let result = place.run(&format!("dump -t {thread}"));
    result.refused(&format!("{thread} is a thread of process {own}"));
    result.refused(&format!("give {own}"));
    place.run("dump -t 4000000").refused("there is no process 4000000");
}

#[test]
fn the_engine_cannot_stop_itself() {
    let place = Place::new();
    // Its parent, and the parent of that.
    for root in [std::process::id(), std::os::unix::process::parent_id()] {
        let result = place.run(&format!("dump -t {root}"));
        result.refused(&format!("the tree of process {root} contains the engine itself"));
        result.refused("from outside of the tree");
    }
}
