// SPDX-License-Identifier: GPL-2.0-only

//! A request for a page that names the node which answers, as far as it gets without waiting; and, for who looks at
//! the wire below TCP, whose an answer is.

#![forbid(unsafe_code)]

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::bind;
use nix::sys::socket::connect;
use nix::sys::socket::setsockopt;
use nix::sys::socket::socket;
use nix::sys::socket::sockopt;
use nix::sys::socket::AddressFamily;
use nix::sys::socket::SockFlag;
use nix::sys::socket::SockType;
use nix::sys::socket::SockaddrIn;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddrV4;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;

pub type Mac = [u8; 6];

/// A connection on its way. Closed it ends with a reset, so that no end keeps it, whoever had it, and the same ports can
/// be used again at once.
pub fn connecting(from: SocketAddrV4, to: SocketAddrV4) -> nix::Result<TcpStream> {
    let socket = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // One port of a client serves connections to several of the server's.
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    let linger = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&socket, sockopt::Linger, &linger)?;
    bind(socket.as_raw_fd(), &SockaddrIn::from(from))?;
    match connect(socket.as_raw_fd(), &SockaddrIn::from(to)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error),
    }
}

/// How a request ended: the node that a whole page named, or none.
pub type End = Option<usize>;

/// A request under way; its descriptor is for polling.
pub struct Request {
    stream: TcpStream,
    sent: bool,
    answer: Vec<u8>,
}

impl Request {
    pub fn start(from: SocketAddrV4, to: SocketAddrV4) -> nix::Result<Self> {
        Ok(Self {
            stream: connecting(from, to)?,
            sent: false,
            answer: Vec::new(),
        })
    }

    /// What it waits for.
    pub fn events(&self) -> PollFlags {
        if self.sent {
            PollFlags::POLLIN
        } else {
            PollFlags::POLLOUT
        }
    }

    /// Goes as far as it can without waiting; its end, if it has come.
    pub fn advance(&mut self) -> Option<End> {
        if !self.sent {
            // Far smaller than an empty send buffer: it goes whole or fails.
            if self.stream.write_all(b"GET / HTTP/1.0\r\n\r\n").is_err() {
                return Some(None);
            }
            self.sent = true;
        }
        let mut buffer = [0; 512];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Some(node(&self.answer)),
                Ok(length) => self.answer.extend(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Some(None),
            }
        }
    }
}

impl AsFd for Request {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// The node that an answer names; only a whole one counts.
fn node(answer: &[u8]) -> End {
    let answer = std::str::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    if !head.starts_with("HTTP/1.0 200 ") {
        return None;
    }
    body.strip_prefix("node ")?.strip_suffix('\n')?.parse().ok()
}

/// A TCP segment of the VIP's.
#[derive(Debug, PartialEq, Eq)]
pub struct Segment {
    /// Who sent it, by the Ethernet header: the cluster's MAC is never a source.
    pub mac: Mac,
    /// The client and its port.
    pub to: (Ipv4Addr, u16),
    /// Whether it accepts a connection (SYN and ACK). Two who accept one are a double.
    pub accepts: bool,
}

/// The segment in a frame, if it is one from that address.
pub fn segment(frame: &[u8], vip: Ipv4Addr) -> Option<Segment> {
    const TCP: u8 = 6;
    const SYN_ACK: u8 = 0x12;
    let (ethernet, ip) = frame.split_at_checked(14)?;
    let source: [u8; 4] = ip.get(12..16)?.try_into().ok()?;
    let client: [u8; 4] = ip.get(16..20)?.try_into().ok()?;
    let header = usize::from(ip[0] & 15) * 4;
    let tcp = ip.get(header..header + 14)?;
    if ethernet[12..] != [0x08, 0x00] || source != vip.octets() || ip[9] != TCP {
        return None;
    }
    Some(Segment {
        mac: ethernet[6..12].try_into().ok()?,
        to: (client.into(), u16::from_be_bytes([tcp[2], tcp[3]])),
        accepts: tcp[13] & SYN_ACK == SYN_ACK,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_answer_names_a_node() {
        assert_eq!(node(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\nnode 3\n"), Some(3));
        assert_eq!(node(b"HTTP/1.0 200 OK\r\n\r\nnode 3\n"), Some(3));
        assert_eq!(node(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\nnode 3"), None);
        assert_eq!(node(b"HTTP/1.0 500 no\r\nA: b\r\n\r\nnode 3\n"), None);
        assert_eq!(node(b"HTTP/1.0 503 no\r\nA: b\r\n\r\nnode 3\n"), None);
        assert_eq!(node(b"HTTP/1.0 200 OK\r\nA: b\r\n"), None);
        assert_eq!(node(b""), None);
    }

    #[test]
    fn reads_a_segment_and_nothing_else() {
        let vip = Ipv4Addr::new(10, 9, 0, 80);
        let mut frame = vec![2, 0, 0, 0, 0, 100, 2, 0, 0, 0, 0, 3, 8, 0];
        frame.extend([
            0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 9, 0, 80, 10, 9, 0, 100,
        ]);
        frame.extend([0, 80, 0x9c, 0x41, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x12]);
        let wanted = |accepts| {
            Some(Segment {
                mac: [2, 0, 0, 0, 0, 3],
                to: (Ipv4Addr::new(10, 9, 0, 100), 40001),
                accepts,
            })
        };
        assert_eq!(segment(&frame, vip), wanted(true));
        assert_eq!(segment(&frame, Ipv4Addr::new(10, 9, 0, 81)), None);
        frame[47] = 0x10;
        assert_eq!(segment(&frame, vip), wanted(false));
        for length in 0..48 {
            assert_eq!(segment(&frame[..length], vip), None);
        }
        frame[23] = 17;
        assert_eq!(segment(&frame, vip), None);
    }
}
