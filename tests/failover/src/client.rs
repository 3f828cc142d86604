// SPDX-License-Identifier: GPL-2.0-only

//! Clients of all shares, who ask the VIP for a page without end, one after the other, and look at the
//! wire below their TCP for second answers.

use crate::network;
use crate::network::Network;
use crate::network::VIP_ADDRESS;
use anyhow::anyhow;
use anyhow::Context;
use anyhow::Result;
use asking::Mac;
use harness::eventually;
use harness::pace;
use harness::tap::Tap;
use harness::tap::ETH_IP;
use nix::errno::Errno;
use nix::poll::poll;
use nix::poll::PollFd;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::net::SocketAddrV4;
use std::os::fd::AsFd;
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
    asking: asking::Request,
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
        let from = SocketAddrV4::new(source.0, source.1);
        let asking = asking::Request::start(from, SocketAddrV4::new(VIP_ADDRESS, 80))
            .with_context(|| format!("asking from {from}"))?;
        self.open.push(Open {
            request: Request {
                share: share + 1,
                at: Instant::now(),
                answer: None,
                doubled: false,
            },
            source,
            asking,
        });
        Ok(())
    }

    /// Gets on with what is under way, for so long at most.
    fn wait(&mut self, time: Duration) -> Result<()> {
        let mut polled: Vec<PollFd> = self
            .open
            .iter()
            .map(|open| PollFd::new(open.asking.as_fd(), open.asking.events()))
            .collect();
        match poll(&mut polled, time.as_millis().min(1000) as u16) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("poll"),
        }
        let ready: Vec<bool> = polled.iter().map(|fd| fd.any() == Some(true)).collect();
        let mut still = Vec::new();
        for (mut open, ready) in std::mem::take(&mut self.open).into_iter().zip(ready) {
            let end = if ready { open.asking.advance() } else { None };
            if let Some(node) = end.flatten() {
                open.request.answer = Some((node, Instant::now()));
            }
            if end.is_some() || open.request.at.elapsed() > PATIENCE {
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
            let segment = asking::segment(&frame, VIP_ADDRESS);
            if let Some(segment) = segment.filter(|segment| segment.accepts) {
                let macs = self.accepted.entry(segment.to).or_default();
                macs.insert(segment.mac);
            }
        }
        Ok(())
    }
}
