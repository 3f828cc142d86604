// SPDX-License-Identifier: GPL-2.0-only

//! The packets' side: frames, sound and broken, and what the rule has to say to each by the bytes
//! alone.

use crate::input::Input;
use crate::table;
use harness::cluster::CLIENT_MAC;
use harness::cluster::MAC_BYTES;
use harness::flow;
use harness::packet;
use harness::packet::Arp;
use harness::packet::Ip;
use std::net::Ipv4Addr;

pub const ETH_IP: u16 = 0x0800;
pub const ETH_ARP: u16 = 0x0806;
const ETH_VLAN: u16 = 0x8100;
const HEAD: usize = 14;
const PROTOCOLS: [u8; 16] = [
    6, 17, 17, 1, 50, 51, 132, 47, 33, 136, 4, 2, 253, 0, 255, 41,
];
/// Those that have four bytes of ports, and where.
const WITH_PORTS: [(u8, usize); 7] = [
    (6, 0),
    (17, 0),
    (136, 0),
    (33, 0),
    (132, 0),
    (50, 0),
    (51, 4),
];
const ERRORS: [u8; 5] = [3, 4, 5, 11, 12];

/// A frame for the VIP's wire.
pub fn any(input: &mut Input, device_mac: [u8; 6]) -> Vec<u8> {
    let to = match input.below(8) {
        0 => device_mac,
        1 => [0xff; 6],
        2 => [2, 0, 0, 0, 9, 9],
        _ => MAC_BYTES,
    };
    if input.one_in(6) {
        return arp(input, to);
    }
    let ip = ip(input);
    if input.one_in(8) && ip.payload.len() > 8 {
        let size = 8 + 8 * input.below(4);
        let mut pieces = ip.fragments(size);
        let piece = input.below(pieces.len());
        return packet::frame(to, CLIENT_MAC, ETH_IP, &pieces.swap_remove(piece));
    }
    let mut bytes = ip.bytes();
    if input.one_in(3) {
        spoil(&mut bytes, input);
    }
    let mut kind = ETH_IP;
    if input.one_in(12) {
        kind = input.pick(&[ETH_VLAN, 0x88a8, 0x86dd, 0x0802, 0x0026, 0, 0xffff]);
        let tag = [input.word().to_be_bytes(), ETH_IP.to_be_bytes()].concat();
        bytes = [tag, bytes].concat();
    }
    let mut frame = packet::frame(to, CLIENT_MAC, kind, &bytes);
    if input.one_in(12) {
        let length = HEAD + input.below(frame.len() - HEAD + 1);
        frame.truncate(length);
    }
    frame
}

/// A datagram from anybody.
pub fn ip(input: &mut Input) -> Ip {
    let source = match input.below(8) {
        0 => Ipv4Addr::new(10, 9, 0, input.byte()),
        1 => input.long().into(),
        _ => Ipv4Addr::new(
            11 + input.byte() % 100,
            input.byte(),
            input.byte(),
            input.byte(),
        ),
    };
    let protocol = input.pick(&PROTOCOLS);
    let ports = [
        input.byte() | 1,
        input.byte(),
        input.byte() | 1,
        input.byte(),
    ];
    let to = table::vip(input);
    let mut payload = match protocol {
        packet::UDP => packet::udp((source, to), ports, b"hello"),
        packet::TCP => packet::tcp(
            (source, to),
            ports,
            input.pick(&[packet::SYN, packet::ACK, 0, 0xff]),
        ),
        packet::ICMP => icmp(input, source, to),
        _ => flow::transport(protocol, source, ports, 1),
    };
    if input.one_in(8) {
        let length = input.below(payload.len() + 1);
        payload.truncate(length);
    } else if input.one_in(16) {
        payload.resize(input.pick(&[64, 1400, 1480]), 7);
    }
    let mut ip = Ip::new(protocol, source, to, payload);
    ip.id = input.word();
    if input.one_in(6) {
        ip.options = input.bytes(4);
        let words = 1 + input.below(10);
        ip.options.resize(4 * words, 1);
    }
    ip
}

fn icmp(input: &mut Input, source: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    if input.one_in(2) {
        let kind = input.pick(&[8, 8, 13, 0, 14, 17, 42, 255]);
        return packet::icmp(kind, input.word(), b"hello");
    }
    let sent = packet::udp((to, source), [0, 80, input.byte(), 1], b"answer");
    let mut quoted = Ip::new(packet::UDP, to, source, sent).bytes();
    if input.one_in(4) {
        let length = 20 + input.below(9);
        quoted.truncate(length);
    }
    packet::icmp_error(input.pick(&ERRORS), &quoted)
}

/// Changes some bytes; half of the time the header's checksum is right afterwards.
fn spoil(bytes: &mut [u8], input: &mut Input) {
    for _ in 0..=input.below(3) {
        // Mostly the header: version and length, total length, fragment, protocol.
        let at = match input.below(8) {
            0 => 0,
            1 => 2,
            2 => 3,
            3 => 6,
            4 => 9,
            _ => input.below(bytes.len()),
        };
        bytes[at] = if input.one_in(2) {
            bytes[at] ^ (1 << (input.byte() % 8))
        } else {
            input.byte()
        };
    }
    if input.one_in(2) {
        let length = (usize::from(bytes[0] & 15) * 4).clamp(20, bytes.len());
        bytes[10..12].fill(0);
        let sum = packet::checksum(&[&bytes[..length]]);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}

/// ARP of all kinds: questions, answers, announcements, and what is not ARP for IPv4 on Ethernet.
fn arp(input: &mut Input, to: [u8; 6]) -> Vec<u8> {
    let arp = Arp {
        operation: input.pick(&[1, 1, 1, 2, 3, 8, 9, 0]),
        sender_mac: CLIENT_MAC,
        sender: match input.below(4) {
            0 => table::vip(input),
            1 => Ipv4Addr::UNSPECIFIED,
            _ => Ipv4Addr::new(10, 9, 0, 200 + input.byte() % 50),
        },
        target_mac: [0; 6],
        target: match input.below(3) {
            0 => Ipv4Addr::new(10, 9, 0, 1),
            _ => table::vip(input),
        },
    };
    let mut bytes = arp.bytes();
    if input.one_in(3) {
        let at = input.below(bytes.len());
        bytes[at] = input.byte();
    }
    if input.one_in(6) {
        let length = input.below(bytes.len() + 1);
        bytes.truncate(length);
    }
    let to = if input.one_in(4) { to } else { [0xff; 6] };
    packet::frame(to, CLIENT_MAC, ETH_ARP, &bytes)
}

/// A plain question by ARP.
pub fn question(target: Ipv4Addr, asker: u8) -> Vec<u8> {
    let arp = Arp {
        operation: 1,
        sender_mac: CLIENT_MAC,
        sender: Ipv4Addr::new(10, 9, 0, asker),
        target_mac: [0; 6],
        target,
    };
    packet::frame([0xff; 6], CLIENT_MAC, ETH_ARP, &arp.bytes())
}

/// What a rule looks at.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    /// An error about another packet, which every node takes.
    Error,
    /// What is hashed.
    Hashed { source: [u8; 4], ports: [u8; 4] },
}

/// What a rule of the raw table sees in a frame that got as far as that; nothing when this cannot be
/// told by the frame alone, for it is a piece of a datagram or carries a tag.
pub fn seen(frame: &[u8]) -> Option<Seen> {
    if frame.get(12..HEAD)? != ETH_IP.to_be_bytes() {
        return None;
    }
    let ip = &frame[HEAD..];
    let total = usize::from(u16::from_be_bytes([*ip.get(2)?, *ip.get(3)?]));
    // What is behind the end that the header names is cut off before.
    let ip = ip.get(..total)?;
    let header = usize::from(ip.first()? & 15) * 4;
    let fragment = u16::from_be_bytes([*ip.get(6)?, *ip.get(7)?]);
    if fragment & 0x3fff != 0 {
        return None;
    }
    let protocol = *ip.get(9)?;
    let source = ip.get(12..16)?.try_into().ok()?;
    if protocol == packet::ICMP && ERRORS.contains(ip.get(header).unwrap_or(&0)) {
        return Some(Seen::Error);
    }
    let ports = WITH_PORTS
        .iter()
        .find(|(number, _)| *number == protocol)
        .and_then(|(_, offset)| ip.get(header + offset..header + offset + 4))
        .and_then(|bytes| bytes.try_into().ok())
        .unwrap_or([0; 4]);
    Some(Seen::Hashed { source, ports })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(protocol: u8, payload: Vec<u8>) -> Vec<u8> {
        let to = Ipv4Addr::new(10, 9, 0, 100);
        let ip = Ip::new(protocol, Ipv4Addr::new(192, 0, 2, 1), to, payload);
        packet::frame(MAC_BYTES, CLIENT_MAC, ETH_IP, &ip.bytes())
    }

    #[test]
    fn ports_are_found_and_ends_kept() {
        let source = [192, 0, 2, 1];
        let hashed = |ports| Some(Seen::Hashed { source, ports });
        assert_eq!(seen(&frame(17, vec![1, 2, 3, 4, 5])), hashed([1, 2, 3, 4]));
        assert_eq!(
            seen(&frame(51, vec![0, 0, 0, 0, 1, 2, 3, 4])),
            hashed([1, 2, 3, 4])
        );
        assert_eq!(seen(&frame(17, vec![1, 2, 3])), hashed([0; 4]));
        assert_eq!(seen(&frame(253, vec![1, 2, 3, 4])), hashed([0; 4]));
        assert_eq!(seen(&frame(1, vec![3, 0])), Some(Seen::Error));
        // What is behind the end of the datagram is no port.
        let mut long = frame(17, vec![1, 2]);
        long.extend([3, 4, 5, 6]);
        assert_eq!(seen(&long), hashed([0; 4]));
        let mut piece = frame(17, vec![1, 2, 3, 4]);
        piece[HEAD + 6] = 0x20;
        assert_eq!(seen(&piece), None);
    }
}
