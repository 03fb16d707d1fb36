//! redis-server on a unix socket goes on with the sessions of its clients: one in the middle of a transaction on a data
//! base of its own, a subscriber, one that waits for a list to be filled, and redis-cli.
//@ needs: [prog:redis-server, prog:redis-cli]
//@ witness: -maps -fds -pss # the program allocates and reads /proc all the time
//@ timeout: 60
use crate::gate::{Gate, Verdict, check_eq, fail};
use crate::tools_programs::Program;
use crate::tools_relatives::until;
use nix::sys::signal::{Signal, kill};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

/// A client of the case's own, which sends commands as lines.
struct Client(BufReader<UnixStream>);

impl Client {
    fn connect(gate: &Gate) -> Verdict<Client> {
        Ok(Client(BufReader::new(UnixStream::connect(gate.path("socket"))?)))
    }

    fn send(&mut self, command: &str) -> Verdict {
        Ok(self.0.get_mut().write_all(format!("{command}\r\n").as_bytes())?)
    }

    /// Whether the next lines of the answer are these.
    fn expect(&mut self, lines: &[&str]) -> Verdict {
        for wanted in lines {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            check_eq("a line of the answer", line.trim_end(), *wanted)?;
        }
        Ok(())
    }

    fn ask(&mut self, command: &str, lines: &[&str]) -> Verdict {
        self.send(command)?;
        self.expect(lines)
    }
}

pub fn run(gate: &mut Gate) -> Verdict {
    let options = ["--port", "0", "--unixsocket", "socket", "--save", "", "--databases", "4"];
    let server = Program::start(gate, "redis-server", &options)?;
    until("the server to listen", || Ok(UnixStream::connect(gate.path("socket")).is_ok()))?;
    let mut session = Client::connect(gate)?;
    session.ask("SELECT 3", &["+OK"])?;
    session.ask("SET counter 41", &["+OK"])?;
    session.ask("MULTI", &["+OK"])?;
    session.ask("INCR counter", &["+QUEUED"])?;
    let mut subscriber = Client::connect(gate)?;
    subscriber.ask("SUBSCRIBE news", &["*3", "$9", "subscribe", "$4", "news", ":1"])?;
    let mut waiting = Client::connect(gate)?;
    waiting.send("BLPOP list 0")?;
    let mut cli = Command::new("redis-cli");
    cli.args(["-s", "socket", "-n", "2"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut cli = cli.spawn()?;
    let (Some(mut input), Some(mut output)) = (cli.stdin.take(), cli.stdout.take()) else {
        return fail("redis-cli has no pipes");
    };
    input.write_all(b"SET name before\n")?;
    let mut other = Client::connect(gate)?;
    until("redis-cli to be served", || {
        other.ask("SELECT 2", &["+OK"])?;
        other.send("EXISTS name")?;
        let mut line = String::new();
        other.0.read_line(&mut line)?;
        Ok(line == ":1\r\n")
    })?;
    gate.checkpoint()?;
    session.ask("INCR counter", &["+QUEUED"])?;
    session.ask("EXEC", &["*2", ":42", ":43"])?;
    other.ask("PUBLISH news hello", &[":1"])?;
    subscriber.expect(&["*3", "$7", "message", "$4", "news", "$5", "hello"])?;
    other.ask("SELECT 0", &["+OK"])?;
    other.ask("RPUSH list item", &[":1"])?;
    waiting.expect(&["*2", "$4", "list", "$4", "item"])?;
    input.write_all(b"APPEND name ,after\nGET name\n")?;
    drop(input);
    let mut text = String::new();
    output.read_to_string(&mut text)?;
    check_eq("what redis-cli says", text.as_str(), "OK\n12\nbefore,after\n")?;
    check_eq("how redis-cli ends", cli.wait()?.code(), Some(0))?;
    Client::connect(gate)?.ask("PING", &["+PONG"])?;
    kill(server.pid, Signal::SIGTERM)?;
    server.finish(gate).map(drop)
}
