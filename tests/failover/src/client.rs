// SPDX-License-Identifier: GPL-2.0-only

//! Clients of all shares, who ask the VIP for a page without end, one after the other, and look at the
//! wire below their TCP for second answers.

use crate::network;
use crate::network::Network;
use crate::network::VIP_ADDRESS;
use anyhow::anyhow;
use anyhow::Context;
use anyhow::Result;
use harness::eventually;
use harness::pace;
use harness::packet;
use harness::packet::Mac;
use harness::tap::Tap;
use harness::tap::ETH_IP;
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
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddrV4;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

/// One request starts every so often; the shares take turns.
const PACE: Duration = Duration::from_millis(40);
/// What a while is, and how often each share is asked in it at least.
const WHILE: Duration = Duration::from_secs(2);
const OFTEN: usize = 10;
/// Who has no answer by then has lost his request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the wire is watched after the last answer: doubles come late.
const AFTERMATH: Duration = Duration::from_millis(500);
const FIRST_PORT: u16 = 20000;

/// Where a request comes from.
type Source = (Ipv4Addr, u16);

/// A request and what became of it.
#[derive(Debug)]
pub struct Request {
    pub share: usize,
    pub at: Instant,
    /// The node that the page names, and when it was there; none: reset, or silence.
    pub answer: Option<(usize, Instant)>,
    /// More than one node accepted the connection.
    pub doubled: bool,
}

/// What the clients and who has started them tell each other.
#[derive(Default)]
struct Signs {
    stop: AtomicBool,
    started: AtomicUsize,
}

/// Clients at work in a thread of their own.
pub struct Clients {
    total: usize,
    signs: Arc<Signs>,
    thread: JoinHandle<Result<Vec<Request>>>,
}

impl Clients {
    /// For so many shares.
    pub fn start(network: &Network, total: usize) -> Result<Self> {
        let wire = Tap::new(&network.client, "eth0", ETH_IP)?;
        wire.room(8 << 20)?;
        let signs = Arc::new(Signs::default());
        let told = Arc::clone(&signs);
        // A thread stays in the namespace where it was made.
        let thread = network
            .client
            .enter(|| std::thread::spawn(move || Asking::new(wire, total).run(&told)))?;
        Ok(Self {
            total,
            signs,
            thread,
        })
    }

    /// Lets them ask for a while, and each share often enough to tell something.
    pub fn watch(&self) -> Result<()> {
        let before = self.signs.started.load(Ordering::Relaxed);
        std::thread::sleep(WHILE);
        eventually("enough requests", || {
            let now = self.signs.started.load(Ordering::Relaxed);
            Ok(now - before >= self.total * OFTEN)
        })
    }

    /// Has no more requests started, waits for those that are under way, and tells of all.
    pub fn stop(self) -> Result<Vec<Request>> {
        self.signs.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .map_err(|_| anyhow!("the clients panicked"))?
            .context("the clients")
    }
}

/// A request on its way.
struct Open {
    request: Request,
    source: Source,
    stream: TcpStream,
    sent: bool,
    page: Vec<u8>,
}

struct Asking {
    wire: Tap,
    shares: Vec<Vec<Ipv4Addr>>,
    started: usize,
    open: Vec<Open>,
    done: Vec<(Source, Request)>,
    /// Who accepted which connection.
    accepted: BTreeMap<Source, BTreeSet<Mac>>,
}

impl Asking {
    fn new(wire: Tap, total: usize) -> Self {
        Self {
            wire,
            shares: (1..=total)
                .map(|number| network::share(number, total))
                .collect(),
            started: 0,
            open: Vec::new(),
            done: Vec::new(),
            accepted: BTreeMap::new(),
        }
    }

    fn run(mut self, signs: &Signs) -> Result<Vec<Request>> {
        let mut next = Instant::now();
        let mut end = None;
        while end.is_none_or(|end| Instant::now() < end) {
            let stopped = signs.stop.load(Ordering::Relaxed);
            if !stopped && Instant::now() >= next {
                self.begin()?;
                signs.started.store(self.started, Ordering::Relaxed);
                // One that was held up does not ask faster afterwards.
                next = Instant::now() + PACE;
            }
            self.wait(if stopped {
                PACE
            } else {
                next.saturating_duration_since(Instant::now())
            })?;
            self.listen()?;
            if stopped && self.open.is_empty() && end.is_none() {
                end = Some(Instant::now() + pace::patience(AFTERMATH));
            }
        }
        let accepted = self.accepted;
        let finish = |(source, mut request): (Source, Request)| {
            request.doubled = accepted.get(&source).is_some_and(|macs| macs.len() > 1);
            request
        };
        Ok(self.done.into_iter().map(finish).collect())
    }

    fn begin(&mut self) -> Result<()> {
        let turn = self.started / self.shares.len();
        let share = self.started % self.shares.len();
        let addresses = &self.shares[share];
        let port = FIRST_PORT + (self.started % 40000) as u16;
        let source = (addresses[turn % addresses.len()], port);
        self.started += 1;
        let stream = open(source).with_context(|| format!("asking from {source:?}"))?;
        self.open.push(Open {
            request: Request {
                share: share + 1,
                at: Instant::now(),
                answer: None,
                doubled: false,
            },
            source,
            stream,
            sent: false,
            page: Vec::new(),
        });
        Ok(())
    }

    /// Gets on with what is under way, for so long at most.
    fn wait(&mut self, time: Duration) -> Result<()> {
        let mut polled: Vec<PollFd> = self
            .open
            .iter()
            .map(|open| PollFd::new(open.stream.as_fd(), open.events()))
            .collect();
        match poll(&mut polled, time.as_millis().min(1000) as u16) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("poll"),
        }
        let ready: Vec<bool> = polled.iter().map(|fd| fd.any() == Some(true)).collect();
        let mut still = Vec::new();
        for (mut open, ready) in std::mem::take(&mut self.open).into_iter().zip(ready) {
            let over = (ready && open.advance()) || open.request.at.elapsed() > PATIENCE;
            if over {
                self.done.push((open.source, open.request));
            } else {
                still.push(open);
            }
        }
        self.open = still;
        Ok(())
    }

    /// Notes who accepts connections, by the Ethernet header: the cluster's MAC is never a source.
    fn listen(&mut self) -> Result<()> {
        while let Some(frame) = self.wire.receive()? {
            if let Some((source, mac)) = acceptance(&frame) {
                self.accepted.entry(source).or_default().insert(mac);
            }
        }
        Ok(())
    }
}

impl Open {
    fn events(&self) -> PollFlags {
        if self.sent {
            PollFlags::POLLIN
        } else {
            PollFlags::POLLOUT
        }
    }

    /// Goes as far as it can without waiting; whether it is over.
    fn advance(&mut self) -> bool {
        if !self.sent {
            // Far smaller than an empty send buffer: it goes whole or fails.
            if self.stream.write_all(b"GET / HTTP/1.0\r\n\r\n").is_err() {
                return true;
            }
            self.sent = true;
        }
        let mut buffer = [0; 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    self.request.answer = named(&self.page).map(|node| (node, Instant::now()));
                    return true;
                }
                Ok(length) => self.page.extend(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
    }
}

/// A connection under way to the VIP's port 80.
fn open(source: Source) -> Result<TcpStream> {
    let socket = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // Closed with a reset, so that no end keeps it, whoever had it.
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&socket, sockopt::Linger, &linger)?;
    let local = SockaddrIn::from(SocketAddrV4::new(source.0, source.1));
    bind(socket.as_raw_fd(), &local)?;
    let remote = SockaddrIn::from(SocketAddrV4::new(VIP_ADDRESS, 80));
    match connect(socket.as_raw_fd(), &remote) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}

/// The node that a whole page names.
fn named(page: &[u8]) -> Option<usize> {
    let page = std::str::from_utf8(page).ok()?;
    let (head, body) = page.split_once("\r\n\r\n")?;
    if !head.starts_with("HTTP/1.0 200 ") {
        return None;
    }
    body.strip_prefix("node ")?.strip_suffix('\n')?.parse().ok()
}

/// The connection that a frame from the VIP accepts, and whose frame it is.
fn acceptance(frame: &[u8]) -> Option<(Source, Mac)> {
    let (ethernet, ip) = frame.split_at_checked(14)?;
    let address = |at: usize| -> Option<Ipv4Addr> {
        Some(<[u8; 4]>::try_from(ip.get(at..at + 4)?).ok()?.into())
    };
    if *ip.get(9)? != packet::TCP || address(12)? != VIP_ADDRESS {
        return None;
    }
    let tcp = ip.get(usize::from(ip[0] & 15) * 4..)?;
    if tcp.get(13)? & (packet::SYN | packet::ACK) != packet::SYN | packet::ACK {
        return None;
    }
    let port = u16::from_be_bytes([tcp[2], tcp[3]]);
    Some(((address(16)?, port), ethernet[6..12].try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_page_names_a_node() {
        assert_eq!(named(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\nnode 3\n"), Some(3));
        assert_eq!(named(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\nnode 3"), None);
        assert_eq!(named(b"HTTP/1.0 503 no\r\nA: b\r\n\r\nnode 3\n"), None);
        assert_eq!(named(b""), None);
    }

    #[test]
    fn an_accepting_segment_is_told_from_others() {
        let client = Ipv4Addr::new(10, 0, 0, 100);
        let frame = |flags| {
            let ports = [0, 80, 0x9c, 0x41];
            let segment = packet::tcp((VIP_ADDRESS, client), ports, flags);
            let ip = packet::Ip::new(packet::TCP, VIP_ADDRESS, client, segment);
            packet::frame(
                [2, 0, 0, 0, 0, 100],
                [2, 0, 0, 0, 0, 3],
                ETH_IP,
                &ip.bytes(),
            )
        };
        let both = packet::SYN | packet::ACK;
        let wanted = Some(((client, 40001), [2, 0, 0, 0, 0, 3]));
        assert_eq!(acceptance(&frame(both)), wanted);
        assert_eq!(acceptance(&frame(packet::ACK)), None);
        assert_eq!(acceptance(&frame(both)[..40]), None);
    }
}
