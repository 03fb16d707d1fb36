//! Internet sockets, listening, connected and datagram, are refused by name; the process goes on talking.
//@ dump-fails: "socket:["
use crate::gate::{Gate, Verdict, check_eq};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};

pub fn run(gate: &mut Gate) -> Verdict {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    let udp = UdpSocket::bind("127.0.0.1:0")?;
    client.write_all(b"before")?;
    gate.checkpoint()?;
    client.write_all(b" after")?;
    let mut text = [0; 12];
    server.read_exact(&mut text)?;
    check_eq("the stream", &text, b"before after")?;
    udp.send_to(b"datagram", udp.local_addr()?)?;
    check_eq("a datagram", udp.recv(&mut text)?, 8)?;
    TcpStream::connect(listener.local_addr()?)?;
    Ok(())
}
