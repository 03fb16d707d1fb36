//! nginx on a unix socket, master and workers, with one client in the middle of a download, one in the middle of its
//! request's body, one between two requests of a connection; then it takes new settings and ends in order.
//@ needs: [prog:nginx]
//@ witness: -maps -fds -pss # the program allocates and opens files all the time
//@ timeout: 60
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_programs::Program;
use crate::tools_relatives::until;
use nix::sys::signal::{Signal, kill};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// How much there is to download: much more than a socket holds.
const LENGTH: usize = 8 << 20;

/// The settings, where `/name` is answered with a text.
fn settings(gate: &Gate, name: &str) -> Verdict {
    let directory = gate.dir().display();
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let paths: String = paths.iter().map(|path| format!("{path}_temp_path {directory}/temporary;\n")).collect();
    let text = format!(
        "user root root; daemon off; worker_processes 2; pid {directory}/pid; error_log stderr notice;
        events {{ worker_connections 64; }}
        http {{
            access_log off; sendfile on; {paths}
            server {{
                listen unix:{directory}/socket; root {directory}/files;
                location /name {{ return 200 {name}; }}
                location /put/ {{ dav_methods PUT; create_full_put_path on; }}
            }}
        }}"
    );
    Ok(std::fs::write(gate.path("settings"), text)?)
}

/// Sends a request and returns the head of the answer.
fn ask(stream: &mut UnixStream, request: &str) -> Verdict<String> {
    stream.write_all(request.as_bytes())?;
    head(stream)
}

fn head(stream: &mut UnixStream) -> Verdict<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Asks what the settings answer, as the connection's next request.
fn name(stream: &mut UnixStream, length: usize) -> Verdict<String> {
    let head = ask(stream, "GET /name HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    check(&format!("the head {head}"), head.starts_with("HTTP/1.1 200"))?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

pub fn run(gate: &mut Gate) -> Verdict {
    let content: Vec<u8> = (0..LENGTH as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::create_dir_all(gate.path("files/put"))?;
    std::fs::write(gate.path("files/content"), &content)?;
    settings(gate, "before")?;
    let path = gate.path("settings");
    let server = Program::start(gate, "nginx", &["-e", "stderr", "-c", &path.to_string_lossy()])?;
    let connect = || UnixStream::connect(gate.path("socket"));
    until("the server to listen", || Ok(connect().is_ok()))?;
    let mut kept = connect()?;
    check_eq("an answer", name(&mut kept, 6)?.as_str(), "before")?;
    let mut download = connect()?;
    let head_of_it = ask(&mut download, "GET /content HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    check(&format!("the head {head_of_it}"), head_of_it.contains(&format!("Content-Length: {LENGTH}\r\n")))?;
    let mut got = vec![0; 100_000];
    download.read_exact(&mut got)?;
    let mut upload = connect()?;
    upload.write_all(b"PUT /put/text HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\nunder ")?;
    let mut unfinished = connect()?;
    unfinished.write_all(b"GET /name HTTP/1.1\r\nHo")?;
    gate.checkpoint()?;
    download.read_to_end(&mut got)?;
    check("the download is whole", got == content)?;
    check_eq("an answer", name(&mut kept, 6)?.as_str(), "before")?;
    let answer = ask(&mut upload, "ways\n")?;
    check(&format!("the upload's answer {answer}"), answer.starts_with("HTTP/1.1 201"))?;
    check_eq("what was uploaded", std::fs::read(gate.path("files/put/text"))?, b"under ways\n".to_vec())?;
    let answer = ask(&mut unfinished, "st: localhost\r\n\r\n")?;
    check(&format!("the answer {answer}"), answer.starts_with("HTTP/1.1 200"))?;
    settings(gate, "afterwards")?;
    kill(server.pid, Signal::SIGHUP)?;
    until("the new settings", || Ok(ask_anew(gate)?.ends_with("afterwards")))?;
    kill(server.pid, Signal::SIGQUIT)?;
    server.finish(gate).map(drop)
}

/// What a new connection is answered.
fn ask_anew(gate: &Gate) -> Verdict<String> {
    let (mut stream, mut text) = (UnixStream::connect(gate.path("socket"))?, String::new());
    stream.write_all(b"GET /name HTTP/1.0\r\n\r\n")?;
    stream.read_to_string(&mut text)?;
    Ok(text)
}
