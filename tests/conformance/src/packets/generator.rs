// SPDX-License-Identifier: GPL-2.0-only

//! Batches of packets, from a seed: the same number gives the same batch.

use super::bytes;
use super::bytes::Head;
use super::flow::Flow;
use super::flow::Speech;
use super::malformed;
use super::tags;
use super::tags::Tags;
use fastrand::Rng;
use harness::cluster::VIP_ADDRESS;
use harness::packet;
use harness::packet::Mac;
use std::net::Ipv4Addr;

/// How many frames are put on the wire in one batch.
pub const FRAMES: usize = 4000;

pub const NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
pub const NODE_MAC: Mac = [2, 0, 0, 0, 0, 1];

/// One thing that happens.
#[derive(Clone)]
pub enum Event {
    /// A frame comes by the wire; `paged`: by a ring, its contents outside the linear data.
    Frame {
        frame: Vec<u8>,
        paged: bool,
        tags: Tags,
    },
    /// The node sends a packet from the VIP.
    Node(Vec<u8>),
    /// A write to the VIP's file.
    Write(String),
}

/// What stands while a batch runs.
#[derive(Clone)]
pub struct Config {
    pub table: &'static str,
    pub chain: &'static str,
    pub mode: u32,
    pub seed: u32,
    pub total: u16,
    /// Those in the rule itself, at most 16.
    pub nodes: Vec<u16>,
    /// `nf_conntrack_tcp_loose` and `ip_early_demux`.
    pub loose: bool,
    pub early_demux: bool,
}

pub struct Batch {
    pub config: Config,
    pub events: Vec<Event>,
}

impl Batch {
    pub fn new(seed: u64, number: u64) -> Self {
        // The first numbers of near seeds are alike.
        let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (number << 20));
        for _ in 0..8 {
            rng.u64(..);
        }
        let (config, events) = config(&mut rng, number);
        let mut generator = Generator {
            rng,
            total: config.total,
            events,
            later: Vec::new(),
            flows: Vec::new(),
            frames: 0,
            id: 0,
        };
        while generator.frames + generator.later.len() < FRAMES {
            generator.step();
        }
        let later = std::mem::take(&mut generator.later);
        generator.events.extend(later);
        Self {
            config,
            events: generator.events,
        }
    }
}

/// What stands, and the writes that make the wanted set of it.
fn config(rng: &mut Rng, number: u64) -> (Config, Vec<Event>) {
    let (table, chain) = match number % 10 {
        3 | 6 => ("mangle", "PREROUTING"),
        8 => ("mangle", "INPUT"),
        _ => ("filter", "INPUT"),
    };
    // Each node count and each mode in turn: 64 and 3 have no common part, so in time each with each.
    let total = (number % 64) as u16 + 1;
    // Few batches with all or one, most with some half.
    let share = [10, 50, 50, 50, 60, 70, 90, 100][rng.usize(..8)];
    let mut wanted: Vec<u16> = (1..=total).filter(|_| rng.u8(..100) < share).collect();
    if wanted.is_empty() {
        wanted.push(rng.u16(1..=total));
    }
    rng.shuffle(&mut wanted);
    let rest = wanted.split_off(wanted.len().min(rng.usize(1..=16)));
    let writes = rest.iter().map(|node| Event::Write(format!("+{node}")));
    let config = Config {
        table,
        chain,
        mode: (number % 3) as u32,
        seed: [0, 1, u32::MAX, rng.u32(..), rng.u32(..), rng.u32(..)][rng.usize(..6)],
        total,
        nodes: wanted,
        loose: rng.bool(),
        early_demux: rng.u8(..4) == 0,
    };
    (config, writes.collect())
}

pub struct Generator {
    pub rng: Rng,
    total: u16,
    events: Vec<Event>,
    /// Pieces of packets that come some time after the others.
    pub later: Vec<Event>,
    flows: Vec<Flow>,
    frames: usize,
    id: u16,
}

impl Generator {
    fn step(&mut self) {
        if !self.later.is_empty() && self.rng.u8(..4) == 0 {
            let at = self.rng.usize(..self.later.len());
            let event = self.later.swap_remove(at);
            self.push(event);
        }
        match self.rng.u16(..1000) {
            0..10 => self.write(),
            10..400 => self.new_flow(),
            400..760 => self.later_packet(),
            760..840 => self.icmp_error(),
            840..890 => self.opened(),
            _ => malformed::step(self),
        }
    }

    pub fn push(&mut self, event: Event) {
        self.frames += usize::from(matches!(event, Event::Frame { .. }));
        self.events.push(event);
    }

    /// A node comes or goes; seldom one that is there already, or isn't.
    fn write(&mut self) {
        let sign = if self.rng.u8(..100) < 55 { '+' } else { '-' };
        let node = self.rng.u16(1..=self.total);
        self.push(Event::Write(format!("{sign}{node}")));
    }

    /// An address, its class, and whether the node can answer to it.
    pub fn source(&mut self) -> (Ipv4Addr, Tags, bool) {
        let rng = &mut self.rng;
        let [a, b, c, d] = rng.u32(..).to_be_bytes();
        let (address, tag) = match rng.u8(..100) {
            0..8 => ([10, 128 | b, c, d], tags::PRIVATE),
            8..14 => ([172, 16 + b % 8, c, d], tags::PRIVATE),
            14..20 => ([192, 168, c, d], tags::PRIVATE),
            20..60 => ([11 + a % 100, b, c, d], tags::PUBLIC),
            60..68 => ([193 + a % 5, b, c, d], tags::PUBLIC),
            68..72 => ([10, 9, 0, 2 + d % 90], tags::NEIGHBOUR),
            72..76 => ([224 + a % 16, b, c, d], tags::MULTICAST),
            76..78 => ([255; 4], tags::BROADCAST),
            78 => ([10, 9, 0, 255], tags::BROADCAST),
            79..82 => ([127, b, c, d], tags::LOOPBACK),
            82..85 => ([0, 0, 0, d & 3], tags::ZERO),
            85..89 => ([240 + a % 15, b, c, d], tags::CLASS_E),
            89..91 => (VIP_ADDRESS.octets(), tags::FROM_VIP),
            91..93 => (NODE_ADDRESS.octets(), tags::LOCAL),
            // The guest's rules give these up.
            _ => ([172, 31, c, d], tags::PRIVATE | tags::UNTRACKED),
        };
        let routable = tag == tags::PRIVATE || tag == tags::PUBLIC;
        (address.into(), tag, routable)
    }

    pub fn protocol(&mut self) -> (u8, Tags) {
        match self.rng.u8(..30) {
            0..7 => (packet::TCP, tags::TCP),
            7..13 => (packet::UDP, tags::UDP),
            13 => (bytes::UDP_LITE, tags::UDP_LITE),
            14 => (bytes::DCCP, tags::DCCP),
            15..17 => (packet::SCTP, tags::SCTP),
            17..19 => (packet::ESP, tags::ESP),
            19..21 => (packet::AH, tags::AH),
            21..24 => (packet::ICMP, tags::ICMP),
            24 => (bytes::IGMP, tags::IGMP),
            25 => (bytes::GRE, tags::GRE),
            26 => (bytes::IPIP, tags::IPIP),
            27 => (253, tags::P253),
            // 254 is the fence's.
            _ => (self.rng.u8(..254), tags::RANDOM),
        }
    }

    fn new_flow(&mut self) {
        let (source, tag, routable) = self.source();
        let (protocol, kind) = self.protocol();
        let mut flow = Flow::new(&mut self.rng, protocol, source, routable);
        if let Speech::Client(payload) = flow.next(&mut self.rng) {
            self.deliver(source, protocol, &payload, tag | kind);
        }
        self.keep(flow);
    }

    fn keep(&mut self, flow: Flow) {
        if self.flows.len() < 48 {
            self.flows.push(flow);
        } else {
            let at = self.rng.usize(..self.flows.len());
            self.flows[at] = flow;
        }
    }

    fn later_packet(&mut self) {
        if self.flows.is_empty() {
            return;
        }
        let at = self.rng.usize(..self.flows.len());
        let speech = self.flows[at].next(&mut self.rng);
        let Flow {
            source, protocol, ..
        } = self.flows[at];
        match speech {
            Speech::Client(payload) => self.deliver(source, protocol, &payload, tags::FLOW),
            Speech::Node(payload) => self.answer(source, protocol, &payload),
        }
    }

    /// The node sends something to a client.
    fn answer(&mut self, client: Ipv4Addr, protocol: u8, payload: &[u8]) {
        let packet = self.packet_of_node(client, protocol, payload);
        self.push(Event::Node(packet));
    }

    fn packet_of_node(&mut self, client: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut head = self.head(VIP_ADDRESS, protocol);
        head.destination = client;
        head.packet(payload)
    }

    pub fn head(&mut self, source: Ipv4Addr, protocol: u8) -> Head {
        self.id += 1;
        Head {
            tos: 0,
            ttl: 64,
            id: self.id,
            protocol,
            source,
            destination: VIP_ADDRESS,
            options: Vec::new(),
        }
    }

    /// An error about a packet of a flow, or about one that never was.
    fn icmp_error(&mut self) {
        let live = !self.flows.is_empty() && self.rng.u8(..4) > 0;
        let flow = if live {
            self.flows[self.rng.usize(..self.flows.len())].clone()
        } else {
            let (source, ..) = self.source();
            Flow::new(&mut self.rng, packet::UDP, source, false)
        };
        // As a rule the packet in question came from the VIP.
        let head = if self.rng.u8(..5) > 0 {
            let mut head = self.head(VIP_ADDRESS, flow.protocol);
            head.destination = flow.source;
            head
        } else {
            self.head(flow.source, flow.protocol)
        };
        let ports = if head.source == VIP_ADDRESS {
            flow.swapped()
        } else {
            flow.ports
        };
        let payload = match flow.protocol {
            packet::ICMP => vec![0, 0, 0, 0, flow.ports[0], flow.ports[1], 0, 1],
            _ => [&ports[..], &[0, 8, 0, 0, 0, 0, 0, 0]].concat(),
        };
        let original = head.packet(&payload);
        let kind = [3, 3, 4, 5, 11, 12][self.rng.usize(..6)];
        let error = packet::icmp_error(kind, &original);
        let (router, class, _) = self.source();
        let tag = if live {
            tags::ERROR_LIVE
        } else {
            tags::ERROR_DEAD
        };
        self.deliver(router, packet::ICMP, &error, tag | class);
    }

    /// The node speaks first, from the VIP, and the answer comes.
    fn opened(&mut self) {
        let (remote, class, routable) = self.source();
        if !routable {
            return;
        }
        let (protocol, kind) = match self.rng.u8(..4) {
            0 => (packet::TCP, tags::TCP),
            1 => (packet::UDP, tags::UDP),
            2 => (253, tags::P253),
            _ => return self.helped(remote, class),
        };
        let flow = Flow::new(&mut self.rng, protocol, remote, true);
        let (out, back) = (flow.swapped(), flow.ports);
        let (first, answer) = match protocol {
            packet::TCP => (
                bytes::tcp(out, [7, 0], packet::SYN, b""),
                bytes::tcp(back, [9, 8], packet::SYN | packet::ACK, b""),
            ),
            packet::UDP => (bytes::udp(out, b"question"), bytes::udp(back, b"answer")),
            _ => (
                [&out[..], b"question"].concat(),
                [&back[..], b"answer"].concat(),
            ),
        };
        self.answer(remote, protocol, &first);
        for _ in 0..self.rng.usize(1..4) {
            self.deliver(remote, protocol, &answer, tags::OPENED | class | kind);
        }
    }

    /// The node asks for a file by TFTP; what comes then, from another port, is RELATED.
    fn helped(&mut self, remote: Ipv4Addr, class: Tags) {
        let flow = Flow::new(&mut self.rng, packet::UDP, remote, true);
        let [a, b, ..] = flow.swapped();
        let request = bytes::udp([a, b, 0, 69], b"\0\x01file\0octet\0");
        self.answer(remote, packet::UDP, &request);
        let [c, d, ..] = flow.ports;
        for number in 1..=self.rng.u8(1..4) {
            let block = bytes::udp([c, d, a, b], &[0, 3, 0, number, 1, 2, 3, 4]);
            let tag = tags::HELPED | tags::UDP | class;
            self.deliver(remote, packet::UDP, &block, tag);
        }
    }
}
