// SPDX-License-Identifier: GPL-2.0-only

//! A node on a wire, and what its rules after CLUSTERIP see of each packet.
//!
//! ```text
//!   namespace "wire"                     namespace "node"
//!      w0 02:00:00:00:01:00 ---------- eth0 02:00:00:00:00:01, 10.9.0.1 and the VIP, 10.9.0.100
//! ```
//!
//! [`seen`] are rules that write what they see (connection mark, packet type, conntrack's state)
//! to the packet's own mark, which raw sockets tell ([`Bench::show`]). A node has no route to the
//! clients, and so says nothing, unless it is told to by [`Bench::talk`].

use crate::case::Case;
use crate::host::Host;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::clean;
use harness::cluster::CLIENT_MAC;
use harness::cluster::FENCE;
use harness::cluster::MAC;
use harness::cluster::MAC_BYTES;
use harness::cluster::PROTOCOLS;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;
use harness::flow::transport;
use harness::host::program;
use harness::packet;
use harness::packet::Ip;
use harness::packet::Mac;
use harness::sys;
use harness::tap::Tap;
use harness::tap::ETH_IP;
use harness::Netns;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::time::Duration;
use std::time::Instant;

pub const SEED: u32 = 0xabcd_ef01;
pub const NIC: Mac = [2, 0, 0, 0, 0, 1];
pub const NODE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// §3.4's own.
pub const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 7);
/// 40000 to 8080.
pub const PORTS: [u8; 4] = [0x9c, 0x40, 0x1f, 0x90];

const TYPES: [(&str, u32); 3] = [
    ("unicast", 0x100),
    ("multicast", 0x200),
    ("broadcast", 0x400),
];
const STATES: [(&str, u32); 5] = [
    ("NEW", 0x1000),
    ("ESTABLISHED", 0x2000),
    ("RELATED", 0x4000),
    ("INVALID", 0x8000),
    ("UNTRACKED", 0x1_0000),
];

/// Rules that write what a chain sees of a packet to the packet's mark.
pub fn seen(chain: &str) -> String {
    let types = TYPES.map(|(name, bit)| {
        format!("-A {chain} -m pkttype --pkt-type {name} -j MARK --or-mark {bit:#x}\n")
    });
    let states = STATES.map(|(name, bit)| {
        format!("-A {chain} -m conntrack --ctstate {name} -j MARK --or-mark {bit:#x}\n")
    });
    format!(
        "-A {chain} -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff\n{}{}",
        types.concat(),
        states.concat()
    )
}

/// The words of a packet's mark.
fn words(mark: u32) -> String {
    let named = |names: &[(&'static str, u32)]| {
        names
            .iter()
            .find(|(_, bit)| mark & bit != 0)
            .map_or("unseen", |(name, _)| *name)
    };
    format!(
        "mark {}, {}, {}",
        mark & 0xff,
        named(&TYPES),
        named(&STATES)
    )
}

/// A VIP's first rule, without `-A CHAIN`.
pub fn rule_of(vip: &str, mode: &str, total: u32, local: u32) -> String {
    format!(
        "-d {vip} -i eth0 -j CLUSTERIP --new --hashmode {mode} --clustermac {MAC} --total-nodes {total} \
         --local-node {local} --hash-init {SEED}\n"
    )
}

/// The VIP in INPUT of `filter`, and what comes after it.
pub fn input(mode: &str, total: u32, local: u32) -> String {
    let rule = rule_of(VIP, mode, total, local);
    format!("*filter\n-A INPUT {rule}{}COMMIT\n", seen("INPUT"))
}

/// A first packet to the VIP, from [`PORTS`] where the protocol has some.
pub fn first(protocol: u8, source: Ipv4Addr) -> Ip {
    let content = transport(protocol, source, PORTS, 77);
    Ip::new(protocol, source, VIP_ADDRESS, content)
}

pub fn udp(source: Ipv4Addr) -> Ip {
    first(packet::UDP, source)
}

/// So many sources, none of which the node has a route to.
pub fn sources(count: u8) -> impl Iterator<Item = Ipv4Addr> {
    (1..=count).map(|number| Ipv4Addr::new(192, 0, 2, number))
}

pub struct Bench {
    /// Goes first: its rules must be gone before anything else goes.
    pub host: Host,
    pub wire: Netns,
    pub tap: Tap,
    sockets: Vec<OwnedFd>,
    fence: Cell<u16>,
    id: Cell<u16>,
}

impl Bench {
    pub fn new(case: &mut Case) -> Result<Self> {
        if !fs::exists(clean::MODULE)? {
            program("modprobe -a ipt_CLUSTERIP ip_tables")?;
        }
        let wire = case.ctx.netns("wire")?;
        let host = Host::new(case.ctx.netns("node")?);
        wire.ip(
            "link add w0 address 02:00:00:00:01:00 type veth peer name eth0 address 02:00:00:00:00:01 netns node\n\
             link set w0 up\n",
        )?;
        host.ip(&format!(
            "link set lo up\nlink set eth0 up\naddr add {NODE}/24 dev eth0\naddr add {VIP}/24 dev eth0\n"
        ))?;
        let sockets: Result<Vec<OwnedFd>> =
            host.enter(|| PROTOCOLS.iter().map(|number| raw_socket(*number)).collect())?;
        let tap = Tap::new(&wire, "w0", 0)?;
        tap.expect_carrier()?;
        case.ctx.log()?;
        Ok(Self {
            host,
            wire,
            tap,
            sockets: sockets?,
            fence: Cell::new(0),
            id: Cell::new(0),
        })
    }

    /// A node with rules.
    pub fn with(case: &mut Case, rules: &str) -> Result<Self> {
        let bench = Self::new(case)?;
        bench.host.restore(rules)?;
        Ok(bench)
    }

    /// A node that has all of 16 numbers.
    pub fn sixteen(case: &mut Case, mode: &str) -> Result<Self> {
        let bench = Self::with(case, &input(mode, 16, 1))?;
        bench.take_all(VIP, 16)?;
        Ok(bench)
    }

    /// Takes the numbers of a VIP that it has not from its rule.
    pub fn take_all(&self, vip: &str, total: u32) -> Result<()> {
        (2..=total).try_for_each(|number| self.host.tell(vip, &format!("+{number}")))
    }

    /// Gives it a route to the clients: it answers from now on.
    pub fn talk(&self) -> Result<()> {
        self.host.ip(
            "neigh add 10.9.0.254 lladdr 02:00:00:00:01:00 dev eth0\nroute add default via 10.9.0.254\n",
        )?;
        Ok(())
    }

    /// A number that no packet had.
    pub fn next_id(&self) -> u16 {
        self.id.set(self.id.get() + 1);
        self.id.get()
    }

    /// Puts packets on the wire, to the cluster's MAC, and says of each what became of it.
    pub fn show<'a>(
        &self,
        case: &mut Case,
        packets: impl IntoIterator<Item = (&'a str, Ip)>,
    ) -> Result<()> {
        let packets: Vec<(&str, Ip)> = packets
            .into_iter()
            .map(|(name, ip)| {
                (
                    name,
                    Ip {
                        id: self.next_id(),
                        ..ip
                    },
                )
            })
            .collect();
        let frames: Vec<_> = packets.iter().map(|(_, ip)| to_vip(&ip.bytes())).collect();
        let fates = self.fates(&frames)?;
        for (name, ip) in packets {
            case.saw(name, fate(&fates, ip.id));
        }
        Ok(())
    }

    /// As [`show`](Self::show) of packets that are called by their sources, in one line.
    pub fn show_sources(&self, case: &mut Case, key: &str, packets: &[Ip]) -> Result<()> {
        let mut numbered = packets.to_vec();
        numbered.iter_mut().for_each(|ip| ip.id = self.next_id());
        let frames: Vec<_> = numbered.iter().map(|ip| to_vip(&ip.bytes())).collect();
        let fates = self.fates(&frames)?;
        let list: Vec<String> = numbered
            .iter()
            .map(|ip| format!("{}: {}", ip.source, fate(&fates, ip.id)))
            .collect();
        case.saw(key, list.join("; "));
        Ok(())
    }

    /// Says what became of one packet that is put on the wire as these frames.
    pub fn show_frames(
        &self,
        case: &mut Case,
        key: &str,
        id: u16,
        frames: &[Vec<u8>],
    ) -> Result<()> {
        let fates = self.fates(frames)?;
        case.saw(key, fate(&fates, id));
        Ok(())
    }

    /// Puts frames on the wire; what the node's rules saw of those that it took, by their numbers.
    pub fn fates(&self, frames: &[Vec<u8>]) -> Result<BTreeMap<u16, String>> {
        self.during(|| frames.iter().try_for_each(|frame| self.tap.send(frame)))
    }

    /// What the node took while `send` ran: all of it, for a last packet that it always takes goes
    /// the same way.
    pub fn during(&self, send: impl FnOnce() -> Result<()>) -> Result<BTreeMap<u16, String>> {
        sys::stay_on_processor(Some(0))?;
        let sent = send().and_then(|()| self.send_fence());
        sys::stay_on_processor(None)?;
        sent?;
        let mut heard = BTreeMap::new();
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut buffer = vec![0; 65536];
        loop {
            let mut fenced = false;
            for socket in self.sockets.iter().rev() {
                while let Some((length, mark)) = sys::receive_marked(socket, &mut buffer)? {
                    ensure!(length >= 20, "a strange packet");
                    let id = u16::from_be_bytes([buffer[4], buffer[5]]);
                    if buffer[9] == FENCE {
                        fenced |= id == self.fence.get();
                    } else if let Some(before) = heard.insert(id, words(mark)) {
                        heard.insert(id, format!("{before} and again {}", words(mark)));
                    }
                }
            }
            if fenced {
                return Ok(heard);
            }
            ensure!(
                Instant::now() < deadline,
                "the node takes no packets any more"
            );
            std::thread::yield_now();
        }
    }

    fn send_fence(&self) -> Result<()> {
        self.fence.set(self.fence.get() + 1);
        let mut fence = Ip::new(FENCE, Ipv4Addr::new(198, 18, 0, 1), NODE, vec![0; 8]);
        fence.id = self.fence.get();
        self.tap
            .send(&packet::frame(NIC, CLIENT_MAC, ETH_IP, &fence.bytes()))
    }

    /// The marks of conntrack's entries with these arguments, in their order by size.
    pub fn marks(&self, arguments: &str) -> Result<Vec<u32>> {
        let list = self.host.run(&format!("conntrack -L {arguments}"))?;
        let marks: Result<Vec<u32>> = list
            .split_whitespace()
            .filter_map(|word| word.strip_prefix("mark="))
            .map(|mark| mark.parse().context("a mark"))
            .collect();
        let mut marks = marks?;
        marks.sort_unstable();
        Ok(marks)
    }
}

/// What became of a packet.
pub fn fate(fates: &BTreeMap<u16, String>, id: u16) -> &str {
    fates.get(&id).map_or("dropped", String::as_str)
}

/// A packet in a frame for the cluster's MAC.
pub fn to_vip(packet: &[u8]) -> Vec<u8> {
    packet::frame(MAC_BYTES, CLIENT_MAC, ETH_IP, packet)
}

/// A raw socket of the calling thread's namespace that tells marks.
fn raw_socket(protocol: u8) -> Result<OwnedFd> {
    let socket = sys::socket(libc::AF_INET, libc::SOCK_RAW, protocol.into())?;
    sys::want_marks(&socket)?;
    Ok(socket)
}
