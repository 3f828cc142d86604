// SPDX-License-Identifier: GPL-2.0-only

//! The client: connections to the VIP from twenty addresses, each from a port that was never used
//! before, and what came back for them over the wire, seen below TCP.

use crate::bed::VIP;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use asking::segment;
use asking::Mac;
use harness::tap::Tap;
use harness::tap::ETH_ARP;
use harness::tap::ETH_IP;
use harness::Netns;
use nix::errno::Errno;
use nix::poll::poll;
use nix::poll::PollFd;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::net::SocketAddrV4;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

const ADDRESSES: usize = 20;
const FIRST_PORT: usize = 10_000;
/// After this much silence nobody will answer any more: a SYN was sent again three times by then.
pub const GIVEN_UP: Duration = Duration::from_secs(10);
/// How long the wire is watched after the last answer: doubles come late.
const AFTERMATH: Duration = Duration::from_millis(500);
/// `sourceip-sourceport`.
const MODE: u32 = 1;

/// One connection.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The node number that it falls to, by the hash.
    pub share: usize,
    pub started: Instant,
    /// How long it took, once a whole answer came.
    pub took: Option<Duration>,
    /// The node that named itself in the answer.
    pub node: Option<usize>,
    /// Answered or given up.
    pub done: bool,
    /// Who sent any packet of this connection, and who accepted it (SYN, ACK). Two who accept are a
    /// double.
    pub senders: BTreeSet<Mac>,
    pub accepted: BTreeSet<Mac>,
}

pub struct Client {
    ns: Arc<Netns>,
    next: Arc<AtomicUsize>,
}

/// Asks at a steady pace until it is stopped.
pub struct Stream {
    asked: Arc<Mutex<Vec<Asked>>>,
    end: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

enum Pace {
    /// One each so often, until the flag is set.
    Steady(Duration, Arc<AtomicBool>),
    /// So many, at most so many at once.
    Count(usize, usize),
}

impl Client {
    pub fn new(switch: &Netns) -> Result<Self> {
        let ns = Netns::new("client")?;
        switch.ip(
            "link add client type veth peer name eth0 address 02:00:00:00:00:64 netns client\n\
             link set client master br0 up\n",
        )?;
        let addresses = (0..ADDRESSES).map(|n| format!("address add {}/24 dev eth0\n", address(n)));
        ns.ip(
            &("link set lo up\nlink set eth0 up\n".to_string() + &addresses.collect::<String>()),
        )?;
        Ok(Self {
            ns: Arc::new(ns),
            next: Arc::new(AtomicUsize::new(0)),
        })
    }

    /// The MACs that the VIP is said to be at, when the client forgot it and asks again.
    pub fn arp(&self) -> Result<BTreeSet<Mac>> {
        self.ns.run("ip neighbour flush dev eth0")?;
        let tap = Tap::new(&self.ns, "eth0", ETH_ARP)?;
        self.ns
            .enter(|| UdpSocket::bind("0.0.0.0:0")?.send_to(b"?", (VIP, 9)))??;
        let vip: Ipv4Addr = VIP.parse()?;
        let is_answer = |frame: &[u8]| {
            frame.get(20..22) == Some(&[0, 2]) && frame.get(28..32) == Some(&vip.octets())
        };
        let mut macs = BTreeSet::new();
        let mut frame = tap.wait("ARP answer of the VIP", is_answer)?;
        let end = Instant::now() + Duration::from_secs(2);
        loop {
            if is_answer(&frame) {
                macs.insert(frame[22..28].try_into()?);
            }
            match tap.receive()? {
                Some(next) => frame = next,
                None if Instant::now() > end => return Ok(macs),
                None => {
                    frame.clear();
                    thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }

    /// So many connections, at most fifty at once.
    pub fn ask(&self, count: usize) -> Result<Vec<Asked>> {
        let asked = Arc::default();
        let mut engine = Engine::new(self, &asked)?;
        self.ns.enter(|| engine.run(&Pace::Count(count, 50)))??;
        drop(engine);
        let asked = Arc::into_inner(asked).context("the connections")?;
        Ok(asked.into_inner().unwrap_or_else(|e| e.into_inner()))
    }

    /// Asks thirty times a second from now on.
    pub fn keep_asking(&self) -> Result<Stream> {
        let asked = Arc::default();
        let end = Arc::new(AtomicBool::new(false));
        let mut engine = Engine::new(self, &asked)?;
        let pace = Pace::Steady(Duration::from_millis(33), end.clone());
        let ns = self.ns.clone();
        let thread = thread::spawn(move || ns.enter(|| engine.run(&pace))?);
        Ok(Stream { asked, end, thread })
    }
}

impl Stream {
    /// Those that were started since then.
    pub fn since(&self, start: Instant) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap_or_else(|e| e.into_inner());
        let from = asked.partition_point(|one| one.started < start);
        asked[from..].to_vec()
    }

    /// Waits until nothing is under way that was started up to now.
    pub fn drain(&self) -> Result<()> {
        let now = Instant::now();
        loop {
            ensure!(!self.thread.is_finished(), "the client has stopped asking");
            let asked = self.asked.lock().unwrap_or_else(|e| e.into_inner());
            let open = asked.iter().any(|one| one.started < now && !one.done);
            drop(asked);
            if !open {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn stop(self) -> Result<()> {
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("the client's thread")?
    }
}

struct Request {
    place: usize,
    asking: asking::Request,
    started: Instant,
}

struct Engine {
    tap: Tap,
    next: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<Asked>>>,
    places: HashMap<(Ipv4Addr, u16), usize>,
    open: Vec<Request>,
}

impl Engine {
    fn new(client: &Client, asked: &Arc<Mutex<Vec<Asked>>>) -> Result<Self> {
        let tap = Tap::new(&client.ns, "eth0", ETH_IP)?;
        // One frame that is missed could be the double.
        tap.room(8 << 20)?;
        Ok(Self {
            tap,
            next: client.next.clone(),
            asked: asked.clone(),
            places: HashMap::new(),
            open: Vec::new(),
        })
    }

    fn run(&mut self, pace: &Pace) -> Result<()> {
        let mut due = Instant::now();
        let mut started = 0;
        let mut last = Instant::now();
        loop {
            let more = match pace {
                Pace::Steady(pause, end) => {
                    let more = !end.load(Ordering::Relaxed);
                    if more && Instant::now() >= due {
                        self.start()?;
                        // What a busy machine has missed is not made up for.
                        due = Instant::now().max(due + *pause);
                    }
                    more
                }
                Pace::Count(count, at_once) => {
                    while started < *count && self.open.len() < *at_once {
                        self.start()?;
                        started += 1;
                    }
                    started < *count
                }
            };
            self.advance()?;
            self.listen()?;
            if more || !self.open.is_empty() {
                last = Instant::now();
            } else if last.elapsed() > AFTERMATH {
                return Ok(());
            }
        }
    }

    fn start(&mut self) -> Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let client = address(number % ADDRESSES);
        let port = u16::try_from(FIRST_PORT + number / ADDRESSES).context("out of ports")?;
        let ports = [port.to_be_bytes(), 80_u16.to_be_bytes()].concat();
        let ports = ports.try_into().ok().context("four bytes")?;
        let started = Instant::now();
        let from = SocketAddrV4::new(client, port);
        let asking = asking::Request::start(from, SocketAddrV4::new(VIP.parse()?, 80))
            .with_context(|| format!("asking from {from}"))?;
        let mut asked = self.asked.lock().unwrap_or_else(|e| e.into_inner());
        self.places.insert((client, port), asked.len());
        self.open.push(Request {
            place: asked.len(),
            asking,
            started,
        });
        asked.push(Asked {
            share: jhash::node(MODE, client.octets(), ports, 0, crate::bed::NODES as u32) as usize,
            started,
            took: None,
            node: None,
            done: false,
            senders: BTreeSet::new(),
            accepted: BTreeSet::new(),
        });
        Ok(())
    }

    /// Waits a moment for something to happen; each request goes as far as it can.
    fn advance(&mut self) -> Result<()> {
        let mut polled: Vec<PollFd> = self
            .open
            .iter()
            .map(|request| PollFd::new(request.asking.as_fd(), request.asking.events()))
            .collect();
        match poll(&mut polled, 10_u16) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("poll"),
        }
        let ready: Vec<bool> = polled.iter().map(|p| p.any() == Some(true)).collect();
        let mut ready = ready.into_iter();
        let asked = &self.asked;
        self.open.retain_mut(|request| {
            let ready = ready.next() == Some(true);
            let end = if ready {
                request.asking.advance()
            } else {
                None
            };
            let given_up = request.started.elapsed() > GIVEN_UP;
            if end.is_none() && !given_up {
                return true;
            }
            let mut asked = asked.lock().unwrap_or_else(|e| e.into_inner());
            let entry = &mut asked[request.place];
            entry.done = true;
            entry.node = end.flatten();
            entry.took = entry.node.map(|_| request.started.elapsed());
            false
        });
        Ok(())
    }

    /// Takes note of what has come over the wire.
    fn listen(&mut self) -> Result<()> {
        let vip: Ipv4Addr = VIP.parse()?;
        while let Some(frame) = self.tap.receive()? {
            let Some(segment) = segment(&frame, vip) else {
                continue;
            };
            if let Some(place) = self.places.get(&segment.to) {
                let mut asked = self.asked.lock().unwrap_or_else(|e| e.into_inner());
                asked[*place].senders.insert(segment.mac);
                if segment.accepts {
                    asked[*place].accepted.insert(segment.mac);
                }
            }
        }
        Ok(())
    }
}

fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 9, 0, 100 + number as u8)
}
