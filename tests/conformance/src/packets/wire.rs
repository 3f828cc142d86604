// SPDX-License-Identifier: GPL-2.0-only

//! How the generator's packets come by the wire: options, TOS and TTL, the MAC, pieces, the ring.

use super::bytes;
use super::bytes::Head;
use super::generator::Event;
use super::generator::Generator;
use super::generator::NODE_ADDRESS;
use super::generator::NODE_MAC;
use super::tags;
use super::tags::Tags;
use harness::cluster;
use harness::packet;
use harness::tap::ETH_IP;
use std::net::Ipv4Addr;

impl Generator {
    /// A packet to the VIP, as a rule; with whatever else a header can have, and perhaps in pieces.
    pub fn deliver(&mut self, source: Ipv4Addr, protocol: u8, payload: &[u8], tag: Tags) {
        let mut head = self.head(source, protocol);
        let mut tag = tag | self.decorate(&mut head);
        if self.rng.u8(..100) < 6 {
            let other = [
                NODE_ADDRESS,
                Ipv4Addr::new(10, 9, 0, 255),
                Ipv4Addr::BROADCAST,
                Ipv4Addr::new(224, 0, 0, 1),
                Ipv4Addr::new(10, 9, 0, 77),
            ];
            head.destination = other[self.rng.usize(..other.len())];
            tag = tag | tags::TO_OTHER;
        }
        let packet = head.packet(payload);
        if payload.len() > 16 && self.rng.u8(..100) < 12 {
            return self.pieces(&head, &packet, tag);
        }
        let event = self.frame(packet, tag);
        self.push(event);
    }

    fn decorate(&mut self, head: &mut Head) -> Tags {
        let mut tag = Tags::default();
        if self.rng.u8(..5) == 0 {
            head.tos = self.rng.u8(1..);
            tag = tag | tags::TOS;
        }
        match self.rng.u8(..50) {
            0 => (head.ttl, tag) = (0, tag | tags::TTL0),
            1 => (head.ttl, tag) = (1, tag | tags::TTL1),
            2..12 => head.ttl = self.rng.u8(2..),
            _ => {}
        }
        if self.rng.u8(..10) == 0 {
            tag = tag | tags::OPTIONS;
            head.options = match self.rng.u8(..5) {
                0 => vec![1; 4 * self.rng.usize(1..=10)],
                // Router alert; record route, with and without room; end of options, then rubbish.
                1 => vec![148, 4, 0, 0],
                2 => [&[7, 11, 4][..], &[0; 8], &[0]].concat(),
                3 => vec![7, 7, 8, 192, 0, 2, 1, 0],
                _ => vec![0, 1, 2, 3],
            };
        }
        tag
    }

    /// A frame of a packet: to some MAC, by the ring or not.
    pub fn frame(&mut self, packet: Vec<u8>, tag: Tags) -> Event {
        let (mac, kind) = match self.rng.u8(..100) {
            0..70 => (cluster::MAC_BYTES, tags::MAC_CLUSTER),
            70..80 => ([0xff; 6], tags::MAC_BROADCAST),
            80..94 => (NODE_MAC, tags::MAC_UNICAST),
            94..98 => ([1, 0, 0x5e, 0, 0, 1], tags::MAC_MULTICAST),
            _ => ([2, 0, 0, 0, 9, 9], tags::MAC_FOREIGN),
        };
        let paged = packet.len() >= 20 && self.rng.u8(..12) == 0;
        let tags = tag | kind | if paged { tags::PAGED } else { Tags::default() };
        let frame = packet::frame(mac, cluster::CLIENT_MAC, ETH_IP, &packet);
        Event::Frame { frame, paged, tags }
    }

    /// A packet in pieces: in order or not, some missing, overlapping, tiny; some come later.
    fn pieces(&mut self, head: &Head, packet: &[u8], tag: Tags) {
        let payload = &packet[bytes::header_length(packet)..];
        let (size, mut tag) = match self.rng.u8(..3) {
            0 => (8, tag | tags::FRAGMENTS | tags::TINY),
            _ => (8 * self.rng.usize(1..4), tag | tags::FRAGMENTS),
        };
        let count = payload.len().div_ceil(size);
        let kind = self.rng.u8(..8);
        let overlap = if kind == 0 { self.rng.usize(1..=8) } else { 0 };
        let mut pieces: Vec<Vec<u8>> = (0..count)
            .map(|number| {
                let end = ((number + 1) * size + overlap).min(payload.len());
                let part = &payload[number * size..end];
                head.piece((number * size / 8) as u16, end < payload.len(), part)
            })
            .collect();
        match kind {
            0 => tag = tag | tags::OVERLAPPING,
            1 if count > 1 => {
                pieces.remove(self.rng.usize(..count));
                tag = tag | tags::INCOMPLETE;
            }
            2..5 => {
                self.rng.shuffle(&mut pieces);
                tag = tag | tags::SHUFFLED;
            }
            _ => {}
        }
        let spread = self.rng.bool();
        for piece in pieces {
            let event = self.frame(piece, tag);
            if spread && self.rng.u8(..3) == 0 {
                self.later.push(event);
            } else {
                self.push(event);
            }
        }
    }

    /// Puts a packet on the wire as it is.
    pub fn send(&mut self, packet: Vec<u8>, tag: Tags) {
        let event = self.frame(packet, tag);
        self.push(event);
    }
}
