//! PostgreSQL under an account of its own goes on with the sessions of its clients: one in an open transaction with a cursor
//! half fetched, one that waits for a row that the first has locked, a listener, one with a temporary table.
//@ needs: [prog:psql, prog:pg_lsclusters, kernel:sysvipc] # pg_lsclusters stands for the server, which is not in PATH
//@ flavours: [ns]
//@ witness: -maps -fds -pss # the server's processes allocate and open files all the time
//@ routes: [once, thrice, kill-engine] # its shared memory in /dev/shm is gone when it has run to its end
//@ timeout: 120
use crate::gate::{Gate, Verdict, check, check_eq, fail};
use crate::tools_programs::Program;
use crate::tools_relatives::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Uid, chown};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The account that the server runs under, which will not be root: nobody's.
const ACCOUNT: u32 = 65534;

const SETTINGS: &str = "
listen_addresses = ''
shared_memory_type = mmap
dynamic_shared_memory_type = posix
shared_buffers = 16MB
max_connections = 20
autovacuum_naptime = 1h
huge_pages = off
";

/// A session of psql.
struct Session {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Session {
    fn start(gate: &Gate) -> Verdict<Session> {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-A", "-t", "-U", "owner", "-d", "postgres", "-h"]).arg(gate.path("server"));
        let mut child = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => Ok(Session { child, input, output: BufReader::new(output) }),
            _ => fail("psql has no pipes"),
        }
    }

    fn send(&mut self, command: &str) -> Verdict {
        Ok(writeln!(self.input, "{command}")?)
    }

    /// The next line of the answer.
    fn line(&mut self) -> Verdict<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// Whether these are the lines that a command is answered with.
    fn ask(&mut self, command: &str, lines: &[&str]) -> Verdict {
        self.send(&format!("{command}\n\\echo end"))?;
        for wanted in lines.iter().chain(&["end"]) {
            check_eq(command, self.line()?.as_str(), *wanted)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Verdict {
        drop(self.input);
        check_eq("how psql ends", self.child.wait()?.code(), Some(0))
    }
}

/// Where the server's programs are: of several versions, the last.
fn programs() -> Verdict<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")?.flatten().map(|version| version.path().join("bin"));
    versions.filter(|path| path.join("initdb").exists()).max().map_or_else(|| fail("there is no initdb"), Ok)
}

/// Makes the data base and starts its server.
fn start_server(gate: &Gate) -> Verdict<Program> {
    let (programs, directory, data) = (programs()?, gate.path("server"), gate.path("server/data"));
    std::fs::create_dir(&directory)?;
    chown(&directory, Some(Uid::from_raw(ACCOUNT)), Some(Gid::from_raw(ACCOUNT)))?;
    let mut initdb = Command::new(programs.join("initdb"));
    initdb
        .args(["--no-sync", "--no-locale", "--encoding=UTF8", "--auth=trust", "--username=owner", "--pgdata"])
        .arg(&data);
    let made = initdb.uid(ACCOUNT).gid(ACCOUNT).current_dir(&directory).output()?;
    check(&format!("initdb succeeds: {made:?}"), made.status.success())?;
    let mut settings = std::fs::OpenOptions::new().append(true).open(data.join("postgresql.conf"))?;
    writeln!(settings, "{SETTINGS}unix_socket_directories = '{}'", directory.display())?;
    Program::start_as(gate, &programs.join("postgres"), &["-D", "server/data"], ACCOUNT)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let server = start_server(gate)?;
    let ready = || Ok(Command::new("pg_isready").arg("-q").arg("-h").arg(gate.path("server")).status()?.success());
    until("the server to accept sessions", ready)?;
    let mut writer = Session::start(gate)?;
    writer.ask("create table t(id int primary key, name text);", &[])?;
    writer.ask("insert into t select i, 'row ' || i from generate_series(1, 5000) i;", &[])?;
    writer.ask("begin; update t set name = 'changed' where id = 7;", &[])?;
    writer
        .ask("declare c cursor for select id from t where id > 1000 order by id; fetch 2 from c;", &["1001", "1002"])?;
    let mut waiting = Session::start(gate)?;
    waiting.send("update t set name = name || ' twice' where id = 7 returning name;")?;
    let mut listener = Session::start(gate)?;
    listener.ask("listen news; select pg_advisory_lock(5);", &[""])?;
    let mut other = Session::start(gate)?;
    other.ask("create temporary table own as select 1 as one; prepare p(int) as select $1 * 6;", &[])?;
    until("the second session to wait", || {
        other.send("select count(*) from pg_stat_activity where wait_event_type = 'Lock';")?;
        Ok(other.line()? == "1")
    })?;
    gate.checkpoint()?;
    other.ask("select name from t where id = 7; select one from own; execute p(7);", &["row 7", "1", "42"])?;
    other.ask("select pg_try_advisory_lock(5); notify news, 'hello';", &["f"])?;
    writer.ask("fetch 2 from c; insert into t values (0, 'after'); commit;", &["1003", "1004"])?;
    check_eq("what waited", waiting.line()?.as_str(), "changed twice")?;
    listener.send("select 1;")?;
    check_eq("what the listener asked", listener.line()?.as_str(), "1")?;
    let news = listener.line()?;
    check(&format!("the news: {news}"), news.starts_with("Asynchronous notification \"news\" with payload \"hello\""))?;
    other.ask("select count(*), sum(id) from t; checkpoint; reindex table t;", &["5001|12502500"])?;
    Session::start(gate)?.finish()?;
    for session in [writer, waiting, listener, other] {
        session.finish()?;
    }
    kill(server.pid, Signal::SIGINT)?;
    server.finish(gate).map(drop)
}
