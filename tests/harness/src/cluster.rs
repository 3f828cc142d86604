// SPDX-License-Identifier: GPL-2.0-only

//! A wire and N nodes.
//!
//! ```text
//!   namespace "wire"            namespace "node1"
//!      w1 ------------------- eth0  10.9.0.1 and the VIP, 10.9.0.100
//!      w2 ------------------- eth0  namespace "node2"
//!      …
//! ```
//!
//! A frame is put on each of the wire's ends, as a switch would flood it. What came through a
//! node's INPUT chain is what its raw sockets hear. Nodes send nothing themselves (their OUTPUT
//! chain drops all), so that no answer disturbs the next question.

use super::blob;
use super::blob::Rule;
use super::pace;
use super::packet;
use super::packet::Ip;
use super::packet::Mac;
use super::sys;
use super::sys::TxRing;
use super::tap::Tap;
use super::tap::ETH_IP;
use super::Ctx;
use super::Netns;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use std::cell::Cell;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::time::Duration;
use std::time::Instant;

pub const VIP: &str = "10.9.0.100";
pub const VIP_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 100);
pub const MAC: &str = "01:00:5e:00:00:20";
pub const MAC_BYTES: Mac = [1, 0, 0x5e, 0, 0, 0x20];
pub const CLIENT_MAC: Mac = [2, 0, 0, 0, 1, 0];

/// For experiments (RFC 3692); nothing but the harness' own fence uses it.
pub const FENCE: u8 = 254;
/// What a node's raw sockets listen for.
pub const PROTOCOLS: [u8; 13] = [
    packet::ICMP,
    packet::TCP,
    packet::UDP,
    packet::SCTP,
    packet::ESP,
    packet::AH,
    2,
    4,
    33,
    47,
    136,
    253,
    FENCE,
];

pub const MODES: [&str; 3] = [
    "sourceip",
    "sourceip-sourceport",
    "sourceip-sourceport-destport",
];

/// With those of revision 1, by their numbers.
pub const ALL_MODES: [&str; 6] = [
    MODES[0],
    MODES[1],
    MODES[2],
    "destip",
    "sourceip-destip",
    "sourceip-spi",
];

pub struct Cluster {
    pub wire: Netns,
    pub nodes: Vec<Node>,
}

pub struct Node {
    pub ns: Netns,
    pub mac: Mac,
    address: Ipv4Addr,
    tap: Tap,
    sockets: Vec<OwnedFd>,
    fence: Cell<u16>,
}

/// A packet that a node took.
#[derive(Debug)]
pub struct Heard {
    pub id: u16,
    pub protocol: u8,
}

impl Cluster {
    /// Nodes without rules.
    pub fn new(ctx: &Ctx, nodes: usize) -> Result<Self> {
        let wire = ctx.netns("wire")?;
        let namespaces = (1..=nodes)
            .map(|number| ctx.netns(&format!("node{number}")))
            .collect::<Result<Vec<_>>>()?;
        let lines: Vec<String> = (1..=nodes)
            .map(|number| {
                format!(
                    "link add w{number} type veth peer name eth0 address 02:00:00:00:00:{number:02x} netns node{number}\n\
                     link set w{number} up\n"
                )
            })
            .collect();
        wire.ip(&lines.concat())?;
        let nodes = namespaces
            .into_iter()
            .zip(1..)
            .map(|(namespace, number)| Node::new(&wire, namespace, number))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { wire, nodes })
    }

    /// The nodes of a cluster of two.
    pub fn both(&self) -> Result<&[Node; 2]> {
        self.nodes.as_slice().try_into().context("two nodes")
    }

    /// Gives each node the rule, in `table` and `chain`, with its own number; a VIP from before goes.
    pub fn rules(&self, table: &str, chain: &str, mode: &str, seed: u32) -> Result<()> {
        let total = self.nodes.len();
        for (node, number) in self.nodes.iter().zip(1..) {
            node.ns.restore(&format!(
                "{}-A {chain} -d {VIP} -i eth0 -j CLUSTERIP --new --hashmode {mode} --clustermac {MAC} \
                 --total-nodes {total} --local-node {number} --hash-init {seed}\nCOMMIT\n",
                head(table)
            ))?;
        }
        Ok(())
    }

    /// Floods packets, and says what each node took, in its order.
    pub fn ask(&self, packets: &[Vec<u8>]) -> Result<Vec<Vec<Heard>>> {
        self.nodes.iter().map(|node| node.ask(packets)).collect()
    }

    /// Floods packets; for each the nodes that took it, from 1, by the packets' numbers (`Ip::id`).
    pub fn who_takes(&self, packets: &[Ip]) -> Result<Vec<Vec<usize>>> {
        let bytes: Vec<Vec<u8>> = packets.iter().map(Ip::bytes).collect();
        let heard = self.ask(&bytes)?;
        packets
            .iter()
            .map(|packet| takers(&heard, packet.id))
            .collect()
    }
}

/// The numbers of the nodes that heard a packet; an error when one heard it twice.
pub fn takers(heard: &[Vec<Heard>], id: u16) -> Result<Vec<usize>> {
    let mut takers = Vec::new();
    for (heard, number) in heard.iter().zip(1..) {
        let times = heard.iter().filter(|packet| packet.id == id).count();
        ensure!(times <= 1, "node {number} took packet {id} {times} times");
        if times == 1 {
            takers.push(number);
        }
    }
    Ok(takers)
}

/// The start of a table for `iptables-restore`: emptied first, for a VIP outlives a mere replacement
/// of its rules. The OUTPUT chain of `filter` drops.
fn head(table: &str) -> String {
    let filter = "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT DROP\n";
    match table {
        "filter" => format!("{filter}COMMIT\n{filter}"),
        _ => format!("{filter}COMMIT\n*{table}\nCOMMIT\n*{table}\n"),
    }
}

impl Node {
    fn new(wire: &Netns, ns: Netns, number: u8) -> Result<Self> {
        let address = Ipv4Addr::new(10, 9, 0, number);
        ns.ip(&format!(
            "link set lo up\nlink set eth0 up\n\
             addr add {address}/24 dev eth0\naddr add {VIP}/24 dev eth0\n\
             route add default via 10.9.0.254\n"
        ))?;
        let sockets: Result<Vec<OwnedFd>> = ns.enter(|| {
            PROTOCOLS
                .iter()
                .map(|protocol| raw_socket(*protocol))
                .collect()
        })?;
        let tap = Tap::new(wire, &format!("w{number}"), 0)?;
        tap.expect_carrier()?;
        Ok(Self {
            ns,
            mac: [2, 0, 0, 0, 0, number],
            address,
            tap,
            sockets: sockets?,
            fence: Cell::new(0),
        })
    }

    /// Lets nothing out, before connection tracking could see it: no answer comes to be.
    pub fn quiet(&self) -> Result<()> {
        let table = "table ip quiet { chain quiet { type filter hook output priority -350; policy drop; }; }\n";
        self.ns.run_with("nft -f -", table).map(drop)
    }

    /// Replaces a table by these rules.
    pub fn install(&self, table: &str, rules: &[Rule]) -> Result<()> {
        let result = self
            .ns
            .enter(|| blob::replace(&blob::socket()?, table, rules))?;
        result.with_context(|| format!("rules of {} in {table}", self.ns.name()))
    }

    /// Puts packets on this node's wire, to the cluster's MAC, and says what it took.
    pub fn ask(&self, packets: &[Vec<u8>]) -> Result<Vec<Heard>> {
        let mut heard = Vec::new();
        for batch in packets.chunks(200) {
            heard.extend(self.during(|| {
                batch.iter().try_for_each(|packet| {
                    let frame = packet::frame(MAC_BYTES, CLIENT_MAC, ETH_IP, packet);
                    self.tap.send(&frame)
                })
            })?);
        }
        Ok(heard)
    }

    /// As [`ask`](Self::ask), with the packets' contents outside the linear data.
    pub fn ask_by_ring(
        &self,
        wire: &Netns,
        number: usize,
        packets: &[Vec<u8>],
    ) -> Result<Vec<Heard>> {
        let mut heard = Vec::new();
        for batch in packets.chunks(TxRing::SLOTS) {
            let ring = Tap::new(wire, &format!("w{number}"), 0)?.into_ring()?;
            let frames: Vec<_> = batch
                .iter()
                .map(|packet| packet::frame(MAC_BYTES, CLIENT_MAC, ETH_IP, packet))
                .collect();
            heard.extend(self.during(|| ring.send(&frames).context("sending by the ring"))?);
        }
        Ok(heard)
    }

    /// What this node took while `send` ran: all of it, for a last packet that it always takes goes
    /// the same way.
    fn during(&self, send: impl FnOnce() -> Result<()>) -> Result<Vec<Heard>> {
        sys::stay_on_processor(Some(0))?;
        let sent = send().and_then(|()| self.send_fence());
        sys::stay_on_processor(None)?;
        sent?;
        let mut heard = Vec::new();
        let deadline = Instant::now() + pace::patience(Duration::from_secs(5));
        let mut buffer = vec![0; 65536];
        loop {
            let mut fenced = false;
            for socket in self.sockets.iter().rev() {
                while let Some(length) = sys::receive(socket, &mut buffer)? {
                    let packet = parse(&buffer[..length]).context("a strange packet")?;
                    if packet.protocol != FENCE {
                        heard.push(packet);
                    } else if packet.id == self.fence.get() {
                        fenced = true;
                    }
                }
            }
            if fenced {
                return Ok(heard);
            }
            ensure!(
                Instant::now() < deadline,
                "{} does not take packets any more",
                self.ns.name()
            );
            std::thread::yield_now();
        }
    }

    fn send_fence(&self) -> Result<()> {
        self.fence.set(self.fence.get().wrapping_add(1));
        let source = Ipv4Addr::new(198, 18, 0, 1);
        let mut fence = Ip::new(FENCE, source, self.address, vec![0; 8]);
        fence.id = self.fence.get();
        self.tap
            .send(&packet::frame(self.mac, CLIENT_MAC, ETH_IP, &fence.bytes()))
    }
}

/// A raw socket of the calling thread's namespace, with room for a whole batch.
fn raw_socket(protocol: u8) -> Result<OwnedFd> {
    let socket = sys::socket(libc::AF_INET, libc::SOCK_RAW, protocol.into())?;
    let room = (8_i32 << 20).to_ne_bytes();
    sys::set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &room)?;
    Ok(socket)
}

fn parse(bytes: &[u8]) -> Option<Heard> {
    Some(Heard {
        id: u16::from_be_bytes(bytes.get(4..6)?.try_into().ok()?),
        protocol: *bytes.get(9)?,
    })
}
