//! Probes of sockets and network devices. Devices are made in a network namespace of a child only.

use std::fs::File;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixListener;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

use super::{Answer, Because, unless};
use crate::netlink::{ACK, CREATE, DUMP, Message, REQUEST, ask, attribute};
use crate::sys::probe::{self, in_child};
use crate::sys::socket::{self as sk, SocketFd};

fn own_network() -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNET).because("unshare of the network namespace")
}

fn open_tun() -> Result<File, String> {
    File::options().read(true).write(true).open("/dev/net/tun").because("/dev/net/tun")
}

pub(super) fn tun() -> Answer {
    in_child(|| {
        own_network()?;
        probe::make_tun(open_tun()?.as_fd()).because("TUNSETIFF")
    })
}

pub(super) fn tun_ns() -> Answer {
    in_child(|| {
        own_network()?;
        let tun = open_tun()?;
        probe::make_tun(tun.as_fd()).because("TUNSETIFF")?;
        sk::socket_fd(tun.as_fd(), SocketFd::Namespace).because("SIOCGSKNS of a tun device").map(drop)
    })
}

pub(super) fn tcp_half_closed() -> Answer {
    const TCP_REPAIR: i32 = 19;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).because("bind to the loopback address")?;
    let near = TcpStream::connect(listener.local_addr().because("getsockname")?).because("connect")?;
    let (far, _) = listener.accept().because("accept")?;
    near.shutdown(Shutdown::Write).because("shutdown")?;
    for end in [near.as_fd(), far.as_fd()] {
        sk::set_option(end, libc::IPPROTO_TCP, TCP_REPAIR, 1).because("TCP_REPAIR of a half closed connection")?;
        // A socket that is closed in repair mode would tell the other end nothing.
        sk::set_option(end, libc::IPPROTO_TCP, TCP_REPAIR, 0).because("end of TCP_REPAIR")?;
    }
    Ok(())
}

pub(super) fn sk_ns() -> Answer {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).because("bind to the loopback address")?;
    sk::socket_fd(socket.as_fd(), SocketFd::Namespace).because("SIOCGSKNS").map(drop)
}

pub(super) fn sk_unix_file() -> Answer {
    let path = std::env::temp_dir().join(format!("stasis-probe-{}", std::process::id()));
    let listener = UnixListener::bind(&path).because("bind of a unix socket")?;
    let answer = sk::socket_fd(listener.as_fd(), SocketFd::BoundFile).because("SIOCUNIXFILE").map(drop);
    std::fs::remove_file(&path).because("unlink of the unix socket")?;
    answer
}

pub(super) fn diag_raw() -> Answer {
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    // struct inet_diag_req_v2: family, protocol, extensions, padding, states, id.
    let mut body = [0; 56];
    body[0] = libc::AF_INET as u8;
    body[1] = libc::IPPROTO_RAW as u8;
    body[4..8].fill(0xff);
    let message = Message::new(SOCK_DIAG_BY_FAMILY, REQUEST | DUMP, &body);
    ask(SockProtocol::NetlinkSockDiag, [message]).because("sock_diag of raw sockets").map(drop)
}

/// linux/rtnetlink.h and linux/if_link.h.
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_NEW_IFINDEX: u16 = 49;
/// Bytes of struct ifinfomsg.
const IFINFO: usize = 16;

pub(super) fn nsid() -> Answer {
    const RTM_GETNSID: u16 = 90;
    const NETNSA_FD: u16 = 3;
    let namespace = File::open("/proc/self/ns/net").because("/proc/self/ns/net")?;
    let message = Message::new(RTM_GETNSID, REQUEST, &[0; 4]);
    let message = message.with(NETNSA_FD, &namespace.as_raw_fd().to_ne_bytes());
    let answers = ask(SockProtocol::NetlinkRoute, [message]).because("RTM_GETNSID")?;
    unless(!answers.is_empty(), "RTM_GETNSID has no answer")
}

/// A veth device whose peer lies in another namespace tells that namespace's number.
pub(super) fn link_nsid() -> Answer {
    in_child(|| {
        own_network()?;
        let other = File::open("/proc/self/ns/net").because("/proc/self/ns/net")?;
        own_network()?;
        let route = |message| ask(SockProtocol::NetlinkRoute, [message]);
        let mut peer = vec![0; IFINFO];
        let attributes = Message::attributes().with(IFLA_IFNAME, b"probe1\0");
        peer.extend(attributes.with(IFLA_NET_NS_FD, &other.as_raw_fd().to_ne_bytes()).bytes());
        let peer = Message::attributes().with(1, &peer);
        let info = Message::attributes().with(1, b"veth").with(2, peer.bytes());
        let make = Message::new(RTM_NEWLINK, REQUEST | ACK | CREATE, &[0; IFINFO]).with(IFLA_IFNAME, b"probe0\0");
        route(make.with(IFLA_LINKINFO, info.bytes())).because("making a veth pair")?;
        let get = Message::new(RTM_GETLINK, REQUEST, &[0; IFINFO]).with(IFLA_IFNAME, b"probe0\0");
        let links = route(get).because("RTM_GETLINK")?;
        let told =
            links.iter().any(|(_, link)| attribute(link.get(IFINFO..).unwrap_or(&[]), IFLA_LINK_NETNSID).is_some());
        unless(told, "RTM_GETLINK does not tell IFLA_LINK_NETNSID")
    })
}

/// A kernel that knows the attribute refuses an index of zero; one that does not ignores it.
pub(super) fn newifindex() -> Answer {
    in_child(|| {
        own_network()?;
        let mut loopback = [0; IFINFO];
        loopback[4..8].copy_from_slice(&1i32.to_ne_bytes());
        let set = Message::new(RTM_SETLINK, REQUEST | ACK, &loopback).with(IFLA_NEW_IFINDEX, &0i32.to_ne_bytes());
        match ask(SockProtocol::NetlinkRoute, [set]) {
            Err(Errno::ERANGE | Errno::EINVAL) => Ok(()),
            Err(e) => Err(format!("IFLA_NEW_IFINDEX: {e}")),
            Ok(_) => Err("the kernel does not know IFLA_NEW_IFINDEX".to_owned()),
        }
    })
}

pub(super) fn external_net_ns() -> Answer {
    Err("network namespaces are not built yet in this engine".to_owned())
}

/// linux/netfilter/nfnetlink.h and nf_tables.h: `NFNL_SUBSYS_NFTABLES << 8`.
const NFTABLES: u16 = 10 << 8;
const NFPROTO_INET: u8 = 1;

/// struct nfgenmsg: family, version, resource id.
fn nfgen(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

pub(super) fn nftables() -> Answer {
    const NFT_MSG_GETGEN: u16 = 16;
    let message = Message::new(NFTABLES | NFT_MSG_GETGEN, REQUEST, &nfgen(0, 0));
    ask(SockProtocol::NetlinkNetFilter, [message]).because("NFT_MSG_GETGEN").map(drop)
}

pub(super) fn lock_nftables() -> Answer {
    const BATCH_BEGIN: u16 = 16;
    const BATCH_END: u16 = 17;
    const NFT_MSG_NEWTABLE: u16 = 0;
    const NFTA_TABLE_NAME: u16 = 1;
    in_child(|| {
        own_network()?;
        let table = Message::new(NFTABLES | NFT_MSG_NEWTABLE, REQUEST | ACK | CREATE, &nfgen(NFPROTO_INET, 0));
        let batch = [
            Message::new(BATCH_BEGIN, REQUEST, &nfgen(0, 10)),
            table.with(NFTA_TABLE_NAME, b"stasis-probe\0"),
            Message::new(BATCH_END, REQUEST, &nfgen(0, 10)),
        ];
        ask(SockProtocol::NetlinkNetFilter, batch).because("NFT_MSG_NEWTABLE").map(drop)
    })
}

pub(super) fn ipt_legacy() -> Answer {
    const IPT_SO_GET_INFO: i32 = 64;
    // struct ipt_getinfo: the table's name in 32 bytes, then what the kernel says.
    let mut info = [0; 84];
    info[..6].copy_from_slice(b"filter");
    let raw =
        socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw).because("raw socket")?;
    sk::get_option(raw.as_fd(), libc::IPPROTO_IP, IPT_SO_GET_INFO, &mut info).because("IPT_SO_GET_INFO").map(drop)
}

pub(super) fn buf_lock() -> Answer {
    const SO_BUF_LOCK: i32 = 72;
    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).because("bind to the loopback address")?;
    sk::get_option(socket.as_fd(), libc::SOL_SOCKET, SO_BUF_LOCK, &mut [0; 4]).because("SO_BUF_LOCK").map(drop)
}

pub(super) fn ipv6_freebind() -> Answer {
    const IPV6_FREEBIND: i32 = 78;
    let socket =
        socket(AddressFamily::Inet6, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).because("IPv6 socket")?;
    sk::set_option(socket.as_fd(), libc::IPPROTO_IPV6, IPV6_FREEBIND, 1).because("IPV6_FREEBIND")
}
