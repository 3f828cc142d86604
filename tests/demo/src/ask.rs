// SPDX-License-Identifier: GPL-2.0-only

//! A hundred HTTP requests at once, each from an address and a port of its own choice.

use crate::flow;
use crate::flow::Answer;
use crate::flow::Answers;
use crate::flow::Flow;
use crate::report;
use crate::wire::Wire;

use nix::errno::Errno;
use nix::poll::poll;
use nix::poll::PollFd;
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
use std::os::fd::OwnedFd;
use std::time::Duration;
use std::time::Instant;

/// After this much silence nobody will answer any more. Long enough for a SYN to be lost twice.
const PATIENCE: Duration = Duration::from_millis(3500);
/// How long the wire is watched after the last answer: doubles come late.
const AFTERMATH: Duration = Duration::from_millis(200);

pub fn command(vip: &str, first: &str, file: &str, earlier: Option<&str>) -> Result<bool, String> {
    let address = |text: &str| {
        text.parse()
            .map_err(|_| format!("{text} is no IPv4 address"))
    };
    let earlier = earlier.map(flow::load).transpose()?;
    let (answers, strays) = ask(address(vip)?, &flow::all(address(first)?))?;
    flow::save(file, &answers)?;
    report::draw(&answers);
    match earlier {
        Some(earlier) => report::compare(&earlier, &answers),
        None => report::draw_loyalty(&answers),
    }
    if strays > 0 {
        println!("  {strays} packets of no connection of ours came from {vip}");
    }
    Ok(strays == 0)
}

/// One request on its way; gone when it is answered or has failed.
struct Request {
    flow: Flow,
    stream: TcpStream,
    sent: bool,
    answer: Vec<u8>,
}

enum Progress {
    Waiting,
    Done(Option<u32>),
}

impl Request {
    fn start(vip: Ipv4Addr, flow: Flow) -> Result<Request, String> {
        let stream = open(vip, flow).map_err(|e| {
            let Flow {
                client,
                source_port,
                server_port,
            } = flow;
            format!("cannot connect {client}:{source_port} to {vip}:{server_port}: {e}")
        })?;
        Ok(Request {
            flow,
            stream: stream.into(),
            sent: false,
            answer: Vec::new(),
        })
    }

    fn events(&self) -> PollFlags {
        if self.sent {
            PollFlags::POLLIN
        } else {
            PollFlags::POLLOUT
        }
    }

    /// Goes as far as it can without waiting.
    fn advance(&mut self) -> Progress {
        if !self.sent {
            // The request is far smaller than an empty send buffer: it goes whole or fails.
            if self.stream.write_all(b"GET / HTTP/1.0\r\n\r\n").is_err() {
                return Progress::Done(None);
            }
            self.sent = true;
        }
        let mut buffer = [0; 512];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Progress::Done(node(&self.answer)),
                Ok(len) => self.answer.extend(&buffer[..len]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Progress::Waiting,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Progress::Done(None),
            }
        }
    }
}

fn open(vip: Ipv4Addr, flow: Flow) -> nix::Result<OwnedFd> {
    let socket = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // One source port serves connections to both server ports.
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    // Close with a reset, so that no end keeps the connection in TIME_WAIT and the next phase
    // can use the very same ports.
    let linger = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&socket, sockopt::Linger, &linger)?;
    let local = SockaddrIn::from(SocketAddrV4::new(flow.client, flow.source_port));
    bind(socket.as_raw_fd(), &local)?;
    let remote = SockaddrIn::from(SocketAddrV4::new(vip, flow.server_port));
    match connect(socket.as_raw_fd(), &remote) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(socket),
        Err(e) => Err(e),
    }
}

/// The node that an HTTP answer names; only a whole answer counts.
fn node(answer: &[u8]) -> Option<u32> {
    let answer = std::str::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    if !head.starts_with("HTTP/1.0 200 ") {
        return None;
    }
    body.strip_prefix("node ")?.strip_suffix('\n')?.parse().ok()
}

/// Asks for every flow at once. Also returns the number of packets that belong to none of them.
fn ask(vip: Ipv4Addr, flows: &[Flow]) -> Result<(Answers, usize), String> {
    let mut answers: Answers = flows
        .iter()
        .map(|flow| (*flow, Answer::default()))
        .collect();
    let mut strays = 0;
    let wire = Wire::open()?;
    let mut open = Vec::new();
    for flow in flows {
        open.push(Request::start(vip, *flow)?);
    }
    let mut end = Instant::now() + PATIENCE;
    let mut asking = true;
    loop {
        if asking && open.is_empty() {
            asking = false;
            end = Instant::now() + AFTERMATH;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok((answers, strays));
        }
        let mut polled = vec![PollFd::new(wire.as_fd(), PollFlags::POLLIN)];
        polled.extend(
            open.iter()
                .map(|r| PollFd::new(r.stream.as_fd(), r.events())),
        );
        let timeout = u16::try_from(left.as_millis() + 1).unwrap_or(u16::MAX);
        match poll(&mut polled, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(format!("poll: {e}")),
        }
        let ready: Vec<bool> = polled[1..].iter().map(|p| p.any() == Some(true)).collect();
        let mut still = Vec::new();
        for (mut request, ready) in open.into_iter().zip(ready) {
            match ready.then(|| request.advance()) {
                None | Some(Progress::Waiting) => still.push(request),
                Some(Progress::Done(node)) => {
                    answers.entry(request.flow).or_default().node = node;
                }
            }
        }
        open = still;
        while let Some(packet) = wire.next(vip)? {
            if asking {
                end = Instant::now() + PATIENCE;
            }
            match packet.flow.and_then(|flow| answers.get_mut(&flow)) {
                Some(answer) => drop(answer.macs.insert(packet.mac)),
                None => strays += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::node;

    #[test]
    fn only_a_whole_answer_names_a_node() {
        assert_eq!(node(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\nnode 3\n"), Some(3));
        assert_eq!(node(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\nnode 3"), None);
        assert_eq!(node(b"HTTP/1.0 500 no\r\nA: b\r\n\r\nnode 3\n"), None);
        assert_eq!(node(b"HTTP/1.0 200 OK\r\nA: b\r\n"), None);
        assert_eq!(node(b""), None);
    }
}
