//! Images that CRIU made on another kernel are restored and go on, and a program whose vDSO is another kernel's still
//! tells the time.

use anyhow::{Context as _, ensure};
use nix::sys::resource::{Resource, getrlimit};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where the images say that the program is.
const HOME: &str = "/tmp/stasis-fixtures";

/// The variable that a test finds in its own pid namespace, see [`stasis_tests::alone`].
const INNER: &str = "STASIS_FIXTURES";

/// The program in its place.
struct Fixture {
    dir: tempfile::TempDir,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(HOME);
    }
}

/// Whether this is the test in its own pid namespace, where no pid of the images is taken. If not, has it run there.
fn inside(test: &str) -> anyhow::Result<bool> {
    /// The tests share [`HOME`].
    static ALONE: Mutex<()> = Mutex::new(());
    if std::env::var_os(INNER).is_some() {
        return Ok(true);
    }
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: a restore needs root");
        return Ok(false);
    }
    let engine = engine()?;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut command = stasis_tests::alone()?;
    command.args(["--exact", test, "--nocapture"]).env(INNER, "1").env("STASIS_ENGINE", engine);
    let output = command.output().context("failed to start unshare")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(output.status.success() && said.contains("1 passed"), "{said}");
    Ok(false)
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) -> anyhow::Result<()> {
    let start = Instant::now();
    while !done() {
        ensure!(start.elapsed() < Duration::from_secs(10), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// The engine that belongs to this build.
fn engine() -> anyhow::Result<PathBuf> {
    match std::env::var_os("STASIS_ENGINE") {
        Some(engine) => Ok(engine.into()),
        None => Ok(stasis_tests::harness()?.with_file_name("stasis")),
    }
}

/// Runs the engine to its end.
fn run(engine: &Path, args: &[&str]) -> anyhow::Result<Vec<u8>> {
    let output = Command::new(engine).args(args).stdin(Stdio::null()).output().context("failed to start the engine")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "stasis {} failed: {errors}", args.join(" "));
    Ok(output.stdout)
}

/// Copies images and puts the program in its place.
fn fixture(name: &str) -> anyhow::Result<Fixture> {
    let source = stasis_tests::root().join("tests/fixtures/criu-4.2");
    let fixture = Fixture { dir: tempfile::tempdir()? };
    for image in fs::read_dir(source.join(name))? {
        let image = image?;
        fs::copy(image.path(), fixture.dir.path().join(image.file_name()))?;
    }
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir(HOME).with_context(|| format!("{HOME} must not be there"))?;
    fs::set_permissions(HOME, fs::Permissions::from_mode(0o755))?;
    fs::copy(source.join("fixture"), Path::new(HOME).join("fixture"))?;
    Ok(fixture)
}

/// Limits of the machine on which the images were made may be above what this one allows: lowers them.
fn lower_limits(engine: &Path, dir: &Path) -> anyhow::Result<()> {
    use Resource::*;
    // In the order of the kernel's numbers.
    let resources = [
        RLIMIT_CPU,
        RLIMIT_FSIZE,
        RLIMIT_DATA,
        RLIMIT_STACK,
        RLIMIT_CORE,
        RLIMIT_RSS,
        RLIMIT_NPROC,
        RLIMIT_NOFILE,
        RLIMIT_MEMLOCK,
        RLIMIT_AS,
        RLIMIT_LOCKS,
        RLIMIT_SIGPENDING,
        RLIMIT_MSGQUEUE,
        RLIMIT_NICE,
        RLIMIT_RTPRIO,
        RLIMIT_RTTIME,
    ];
    for image in fs::read_dir(dir)? {
        let image = image?.path();
        if !image.file_name().is_some_and(|n| n.to_string_lossy().starts_with("core-")) {
            continue;
        }
        let path = image.to_string_lossy();
        let mut core: serde_json::Value = serde_json::from_slice(&run(engine, &["show", &path, "--json"])?)?;
        let Some(limits) = core.pointer_mut("/entries/0/tc/rlimits/rlimits").and_then(|l| l.as_array_mut()) else {
            continue;
        };
        for (limit, resource) in limits.iter_mut().zip(resources) {
            let (_, hard) = getrlimit(resource)?;
            for name in ["cur", "max"] {
                let value = limit[name].as_u64().context("a limit")?;
                limit[name] = value.min(hard).into();
            }
        }
        let json = dir.join("core.json");
        fs::write(&json, serde_json::to_vec(&core)?)?;
        run(engine, &["encode", &json.to_string_lossy(), &path])?;
        fs::remove_file(json)?;
    }
    Ok(())
}

/// The first words of the page that the program shares with its child.
fn shared_words(pid: i32) -> anyhow::Result<[u64; 4]> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let line = maps.lines().find(|l| l.contains(" rw-s ")).context("no shared page")?;
    let start = u64::from_str_radix(line.split('-').next().context("no address")?, 16)?;
    let mut bytes = [0; 32];
    File::open(format!("/proc/{pid}/mem"))?.read_exact_at(&mut bytes, start)?;
    let (words, _) = bytes.as_chunks::<8>();
    Ok(std::array::from_fn(|n| u64::from_ne_bytes(words[n])))
}

/// The targets of a process' descriptors.
fn descriptors(pid: i32) -> anyhow::Result<Vec<(i32, String)>> {
    let mut list = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let entry = entry?;
        let target = fs::read_link(entry.path())?.to_string_lossy().into_owned();
        let kind = target.split([':', '[']).next().unwrap_or_default().to_owned();
        list.push((entry.file_name().to_string_lossy().parse()?, kind));
    }
    list.sort_unstable();
    Ok(list)
}

/// Waits until a word of the shared page has grown, from a value that it had at the dump at the least.
fn grows(pid: i32, word: usize) -> anyhow::Result<()> {
    let before = shared_words(pid)?[word];
    ensure!(before > 0, "the counter of process {pid} began anew");
    wait_for("a counter to go on", || shared_words(pid).is_ok_and(|words| words[word] > before))
}

#[test]
fn a_process_that_criu_dumped_goes_on() -> anyhow::Result<()> {
    const PID: i32 = 18646;
    if !inside("a_process_that_criu_dumped_goes_on")? {
        return Ok(());
    }
    let fixture = fixture("single")?;
    let engine = engine()?;
    lower_limits(&engine, fixture.dir.path())?;
    run(&engine, &["restore", "-d", "-D", &fixture.dir.path().to_string_lossy()])?;
    grows(PID, 2)?;
    let null = |fd| (fd, "/dev/null".to_owned());
    ensure!(descriptors(PID)? == [null(0), null(1), null(2), null(10), (251, "pipe".to_owned())]);
    Ok(())
}

#[test]
fn a_tree_that_criu_dumped_goes_on() -> anyhow::Result<()> {
    const PARENT: i32 = 18677;
    const CHILD: i32 = 18679;
    const THREAD: i32 = 18680;
    if !inside("a_tree_that_criu_dumped_goes_on")? {
        return Ok(());
    }
    let fixture = fixture("tree")?;
    let engine = engine()?;
    lower_limits(&engine, fixture.dir.path())?;
    run(&engine, &["restore", "-d", "-D", &fixture.dir.path().to_string_lossy()])?;
    // The child counts in the first word, the parent in the third; the second the child wrote before.
    grows(PARENT, 0)?;
    grows(CHILD, 2)?;
    ensure!(shared_words(PARENT)?[1] == 42, "the word that the child wrote");
    ensure!(Path::new(&format!("/proc/{PARENT}/task/{THREAD}")).exists(), "the thread");
    let kinds: Vec<String> = descriptors(PARENT)?.into_iter().map(|(_, kind)| kind).collect();
    let null = "/dev/null";
    ensure!(kinds == [null, null, null, "pipe", "pipe", "anon_inode", null, "pipe"], "{kinds:?}");
    let mut inside = File::open(format!("/proc/{PARENT}/fd/3"))?;
    let mut data = [0; 6];
    std::io::Read::read_exact(&mut inside, &mut data)?;
    ensure!(&data == b"stasis", "what was in the pipe: {data:?}");
    Ok(())
}

/// Not a test of its own: what [`another_kernels_vdso_still_tells_the_time`] dumps. It writes the time again and again.
#[test]
fn clock() -> anyhow::Result<()> {
    let Some(path) = std::env::var_os("STASIS_TEST_CLOCK") else { return Ok(()) };
    let file = File::create(path)?;
    loop {
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)?;
        let nanoseconds = now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64;
        file.write_all_at(&nanoseconds.to_ne_bytes(), 0)?;
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A child, killed at the end.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Changes the build id of the vDSO in a pages file. Whether there was one.
fn change_build_id(path: &Path) -> anyhow::Result<bool> {
    let mut bytes = fs::read(path)?;
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|w| w == what);
    let pages = bytes.chunks_exact(4096).enumerate();
    let vdso = pages.filter(|(_, p)| p.starts_with(b"\x7fELF") && find(p, b"__vdso_clock_gettime").is_some());
    let Some(start) = vdso.map(|(n, _)| n * 4096).next() else { return Ok(false) };
    // struct elf_note: name size 4, description size 20, type 3 (NT_GNU_BUILD_ID), name
    let note = [4u32, 20, 3].map(u32::to_ne_bytes).concat();
    let note: Vec<u8> = note.into_iter().chain(*b"GNU\0").collect();
    let at = start + find(&bytes[start..start + 4096], &note).context("the vDSO has no build id")? + note.len();
    bytes[at] ^= 0xff;
    fs::write(path, bytes)?;
    Ok(true)
}

#[test]
fn another_kernels_vdso_still_tells_the_time() -> anyhow::Result<()> {
    if !inside("another_kernels_vdso_still_tells_the_time")? {
        return Ok(());
    }
    let engine = engine()?;
    let dir = tempfile::tempdir()?;
    let images = dir.path().join("images");
    let images = images.to_string_lossy();
    fs::create_dir(&*images)?;
    let clock = dir.path().join("clock");
    let told = || fs::read(&clock).ok().and_then(|b| Some(u64::from_ne_bytes(b.try_into().ok()?)));
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--exact", "clock", "--nocapture"]).env("STASIS_TEST_CLOCK", &clock).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = Guard(command.spawn()?);
    let pid = child.0.id().to_string();
    wait_for("the first time", || told().is_some())?;
    run(&engine, &["dump", "-j", "-t", &pid, "-D", &images])?;
    drop(child);
    let before = told().context("no time")?;
    let mut changed = 0;
    for image in fs::read_dir(&*images)? {
        let image = image?.path();
        if image.file_name().is_some_and(|n| n.to_string_lossy().starts_with("pages-")) {
            changed += usize::from(change_build_id(&image)?);
        }
    }
    ensure!(changed == 1, "{changed} vDSOs in the images");
    // With checksums that are right again.
    stasis::image::out::reseal(std::path::Path::new(&*images))?;
    run(&engine, &["restore", "-d", "-j", "-D", &images])?;
    wait_for("a later time", || told().is_some_and(|now| now > before))?;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)?;
    let told = Duration::from_nanos(told().context("no time")?);
    let now = Duration::new(now.tv_sec() as u64, now.tv_nsec() as u32);
    ensure!(told <= now && now - told < Duration::from_secs(5), "the time told is {told:?}, it is {now:?}");
    let nameless = maps.lines().any(|l| l.contains(" r-xp 00000000 00:00 0 ") && !l.contains('['));
    ensure!(nameless, "the saved vDSO is not there:\n{maps}");
    Ok(())
}
