// SPDX-License-Identifier: GPL-2.0-only

//! Flows of the generator: what a client says next, and what the node answers.

use super::bytes;
use fastrand::Rng;
use harness::packet;
use std::net::Ipv4Addr;

pub const FIN: u8 = 1;
pub const RST: u8 = 4;
pub const PUSH: u8 = 8;

/// A client, one protocol, its ports; and how far they have come.
#[derive(Clone)]
pub struct Flow {
    pub protocol: u8,
    pub source: Ipv4Addr,
    pub ports: [u8; 4],
    /// Whether the node can answer: the address is one that a route leads to.
    pub routable: bool,
    step: u8,
    /// The next sequence number of the client and of the node.
    client: u32,
    node: u32,
}

/// Who speaks next, and what is in the packet.
pub enum Speech {
    Client(Vec<u8>),
    Node(Vec<u8>),
}

impl Flow {
    pub fn new(rng: &mut Rng, protocol: u8, source: Ipv4Addr, routable: bool) -> Self {
        let mut ports = rng.u32(..).to_be_bytes();
        if rng.u8(..4) == 0 {
            // Services that many clients use.
            let service = [80_u16, 443, 53, 21, 69][rng.usize(..5)];
            ports[2..].copy_from_slice(&service.to_be_bytes());
        }
        Self {
            protocol,
            source,
            ports,
            routable,
            step: 0,
            client: rng.u32(..),
            node: rng.u32(..),
        }
    }

    /// The ports as the node's packets have them.
    pub fn swapped(&self) -> [u8; 4] {
        let [a, b, c, d] = self.ports;
        [c, d, a, b]
    }

    /// A flow's next packet.
    pub fn next(&mut self, rng: &mut Rng) -> Speech {
        let answer = self.routable && self.step > 0 && rng.u8(..100) < 40;
        let speech = match self.protocol {
            packet::TCP => self.tcp(rng),
            packet::SCTP => self.sctp(rng, answer),
            _ if answer => Speech::Node(self.datagram(rng, true)),
            _ => Speech::Client(self.datagram(rng, false)),
        };
        self.step = self.step.saturating_add(1);
        speech
    }

    /// A packet of a protocol without a state of its own.
    fn datagram(&self, rng: &mut Rng, answer: bool) -> Vec<u8> {
        let length = rng.usize(..64);
        let content: Vec<u8> = (0..length).map(|_| rng.u8(..)).collect();
        let ports = if answer { self.swapped() } else { self.ports };
        match self.protocol {
            packet::UDP | bytes::UDP_LITE => bytes::udp(ports, &content),
            packet::ICMP => {
                // Echo, or timestamp; the identifier is the source port.
                let kinds = if self.ports[3] & 1 == 0 {
                    [8, 0]
                } else {
                    [13, 14]
                };
                let mut message = vec![kinds[usize::from(answer)], 0, 0, 0];
                message.extend([self.ports[0], self.ports[1], 0, 1]);
                message.extend([0; 12]);
                message.extend(content);
                message
            }
            bytes::IGMP => [
                &[[0x11, 0x16, 0x17, 0x22][rng.usize(..4)], 0, 0, 0],
                &[0; 4][..],
            ]
            .concat(),
            // GRE without options, carrying IPv4.
            bytes::GRE => [&[0, 0, 8, 0][..], &content].concat(),
            packet::AH => [&[59, 4, 0, 0][..], &ports, &[0, 0, 0, 1], &[7; 12]].concat(),
            _ => [&ports[..], &[0, 0, 0, 1, 0x50, 0, 0, 0], &content].concat(),
        }
    }

    fn tcp(&mut self, rng: &mut Rng) -> Speech {
        use packet::ACK;
        use packet::SYN;
        let (ours, theirs) = (self.client, self.node);
        let ports = self.ports;
        let client = |sequence, flags, content: &[u8]| {
            Speech::Client(bytes::tcp(ports, sequence, flags, content))
        };
        if !self.routable {
            // Nobody answers: the first packet again, or one that nobody expects.
            let flags = if rng.u8(..3) > 0 { SYN } else { ACK };
            return client([ours, 0], flags, b"");
        }
        let swapped = self.swapped();
        let node = |sequence, flags, content: &[u8]| {
            Speech::Node(bytes::tcp(swapped, sequence, flags, content))
        };
        match (self.step, rng.u8(..20)) {
            (0, _) => client([ours, 0], SYN, b""),
            (1, 0..3) => client([ours, 0], SYN, b""),
            (1, _) => {
                self.client = ours.wrapping_add(1);
                self.node = theirs.wrapping_add(1);
                node([theirs, self.client], SYN | ACK, b"")
            }
            (2, _) => client([ours, theirs], ACK, b""),
            (_, 0..9) => {
                self.client = ours.wrapping_add(9);
                client([ours, theirs], ACK | PUSH, b"nine byte")
            }
            (_, 9..14) => {
                self.node = theirs.wrapping_add(4);
                node([theirs, ours], ACK | PUSH, b"four")
            }
            (_, 14) => {
                self.client = ours.wrapping_add(1);
                client([ours, theirs], ACK | FIN, b"")
            }
            (_, 15) => {
                self.node = theirs.wrapping_add(1);
                node([theirs, ours], ACK | FIN, b"")
            }
            (_, 16) => client([ours, theirs], RST | ACK, b""),
            // Far outside the window.
            (_, 17) => client([ours.wrapping_add(1 << 30), theirs], ACK, b"lost"),
            (_, _) => client([ours, theirs], ACK, b""),
        }
    }

    fn sctp(&mut self, rng: &mut Rng, answer: bool) -> Speech {
        const DATA: u8 = 0;
        const INIT: u8 = 1;
        const INIT_ACK: u8 = 2;
        const ABORT: u8 = 6;
        const COOKIE_ECHO: u8 = 10;
        const COOKIE_ACK: u8 = 11;
        let [tag, peer] = [self.client | 1, self.node | 1];
        let chunk = |ports: [u8; 4], tag: u32, kind: u8, own: u32| {
            let mut message = ports.to_vec();
            message.extend(tag.to_be_bytes());
            message.extend([0; 4]);
            message.extend([kind, 3 * u8::from(kind == DATA), 0, 20]);
            message.extend(own.to_be_bytes());
            message.extend([0, 0, 0x80, 0, 0, 1, 0, 1, 0, 0, 0, 1]);
            message
        };
        let swapped = self.swapped();
        match self.step {
            0 => Speech::Client(chunk(self.ports, 0, INIT, tag)),
            1 if self.routable => Speech::Node(chunk(swapped, tag, INIT_ACK, peer)),
            2 => Speech::Client(chunk(self.ports, peer, COOKIE_ECHO, 1)),
            3 if self.routable => Speech::Node(chunk(swapped, tag, COOKIE_ACK, 1)),
            _ if answer => Speech::Node(chunk(swapped, tag, DATA, 1)),
            _ if rng.u8(..20) == 0 => Speech::Client(chunk(self.ports, peer, ABORT, 1)),
            _ => Speech::Client(chunk(self.ports, peer, DATA, 1)),
        }
    }
}
