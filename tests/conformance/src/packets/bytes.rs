// SPDX-License-Identifier: GPL-2.0-only

//! IPv4 packets as bytes: made, sealed with their checksums, cut in pieces, changed.

use harness::packet;
use std::net::Ipv4Addr;

pub const IGMP: u8 = 2;
pub const IPIP: u8 = 4;
pub const DCCP: u8 = 33;
pub const GRE: u8 = 47;
pub const UDP_LITE: u8 = 136;

const MORE_FRAGMENTS: u16 = 0x2000;

/// What an IPv4 header says besides its lengths and its checksum.
#[derive(Clone)]
pub struct Head {
    pub tos: u8,
    pub ttl: u8,
    pub id: u16,
    pub protocol: u8,
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    /// A multiple of four bytes, at most 40.
    pub options: Vec<u8>,
}

impl Head {
    /// A packet with right lengths and checksums, if its transport header is long enough for one.
    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let mut packet = self.unsealed(0, payload);
        seal_transport(&mut packet);
        packet
    }

    /// A piece of a packet: `at`, in eights of bytes, and `more` say which.
    pub fn piece(&self, at: u16, more: bool, part: &[u8]) -> Vec<u8> {
        self.unsealed(if more { at | MORE_FRAGMENTS } else { at }, part)
    }

    fn unsealed(&self, fragment: u16, payload: &[u8]) -> Vec<u8> {
        let length = 20 + self.options.len();
        let mut bytes = vec![0x40 | (length / 4) as u8, self.tos];
        bytes.extend(((length + payload.len()) as u16).to_be_bytes());
        bytes.extend(self.id.to_be_bytes());
        bytes.extend(fragment.to_be_bytes());
        bytes.extend([self.ttl, self.protocol, 0, 0]);
        bytes.extend(self.source.octets());
        bytes.extend(self.destination.octets());
        bytes.extend(&self.options);
        bytes.extend(payload);
        seal(&mut bytes);
        bytes
    }
}

/// The length of a packet's header, as it says itself.
pub fn header_length(packet: &[u8]) -> usize {
    usize::from(packet[0] & 15) * 4
}

/// Puts the right checksum in the IPv4 header.
pub fn seal(packet: &mut [u8]) {
    let length = header_length(packet).clamp(20, packet.len().max(20));
    packet[10..12].fill(0);
    let sum = packet::checksum(&[&packet[..length]]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// Puts the right checksum in the transport header, where the protocol has one and it is there.
pub fn seal_transport(packet: &mut [u8]) {
    let protocol = packet[9];
    let addresses = packet[12..20].to_vec();
    let start = header_length(packet);
    let Some(content) = packet.get_mut(start..) else {
        return;
    };
    let at = match protocol {
        packet::TCP => 16,
        packet::UDP | UDP_LITE | DCCP => 6,
        packet::ICMP | IGMP => 2,
        packet::SCTP => 8,
        _ => return,
    };
    let width = if protocol == packet::SCTP { 4 } else { 2 };
    if content.len() < at + width {
        return;
    }
    content[at..at + width].fill(0);
    let length = (content.len() as u16).to_be_bytes();
    let sum = match protocol {
        packet::SCTP => {
            let sum = packet::crc32c(content);
            content[at..at + 4].copy_from_slice(&sum.to_le_bytes());
            return;
        }
        packet::ICMP | IGMP => packet::checksum(&[content]),
        _ => packet::checksum(&[&addresses, &[0, protocol], &length, content]),
    };
    content[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// A TCP header with content; sealed later.
pub fn tcp(ports: [u8; 4], sequence: [u32; 2], flags: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = ports.to_vec();
    bytes.extend(sequence.iter().flat_map(|number| number.to_be_bytes()));
    bytes.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    bytes.extend(content);
    bytes
}

/// A UDP header with content; sealed later.
pub fn udp(ports: [u8; 4], content: &[u8]) -> Vec<u8> {
    let mut bytes = ports.to_vec();
    bytes.extend((8 + content.len() as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(content);
    bytes
}

/// The packets that shrinking tries in this one's place, each plainer in one way.
pub fn plainer(packet: &[u8]) -> Vec<Vec<u8>> {
    if packet.len() < 20 || packet[0] >> 4 != 4 {
        return Vec::new();
    }
    let start = header_length(packet);
    let mut variants = Vec::new();
    let whole = packet[6] & 0x3f == 0 && packet[7] == 0;
    if start > 20 && start <= packet.len() {
        let mut without = [&packet[..20], &packet[start..]].concat();
        without[0] = 0x45;
        variants.push(without);
    }
    if whole && start >= 20 {
        for keep in [0, 4, 8, 12, 20] {
            if start + keep < packet.len() {
                variants.push(packet[..start + keep].to_vec());
            }
        }
    }
    for (at, plain) in [(1, 0), (8, 64)] {
        if packet[at] != plain {
            let mut variant = packet.to_vec();
            variant[at] = plain;
            variants.push(variant);
        }
    }
    for variant in &mut variants {
        let length = (variant.len() as u16).to_be_bytes();
        variant[2..4].copy_from_slice(&length);
        if variant[9] == packet::UDP && whole {
            let content = (variant.len() - header_length(variant)) as u16;
            let start = header_length(variant);
            if let Some(field) = variant.get_mut(start + 4..start + 6) {
                field.copy_from_slice(&content.to_be_bytes());
            }
        }
        if whole {
            seal_transport(variant);
        }
        seal(variant);
    }
    variants
}
