// SPDX-License-Identifier: GPL-2.0-only

//! Datagrams of all kinds, whole and in pieces, and what of them may be hashed.

use super::flow::Random;
use super::packet;
use super::packet::Ip;
use jhash::Packet;
use std::net::Ipv4Addr;

/// A datagram as it goes over the wire.
pub struct Datagram {
    pub how: &'static str,
    /// Its place in the list, from 1; the packets have it as their number (`Ip::id`).
    pub id: u16,
    pub source: Ipv4Addr,
    /// What a mode can see of it once it is whole.
    pub whole: Packet,
    /// What a mode can see of it as it comes.
    pub as_it_comes: Packet,
    /// One, or its pieces.
    pub packets: Vec<Vec<u8>>,
}

/// What there is, in turn: what it is, its protocol, and whether it comes in pieces.
const KINDS: [(&str, u8, bool); 10] = [
    ("UDP", packet::UDP, false),
    ("ESP", packet::ESP, false),
    ("AH", packet::AH, false),
    ("UDP in pieces", packet::UDP, true),
    ("ESP in pieces", packet::ESP, true),
    ("AH in pieces", packet::AH, true),
    ("TCP", packet::TCP, false),
    ("ICMP echo", packet::ICMP, false),
    ("ESP of three bytes", packet::ESP, false),
    ("AH of seven bytes", packet::AH, false),
];

/// So many datagrams, always the same ones, each from another source.
pub fn datagrams(count: u16, destination: impl Fn(u16) -> Ipv4Addr) -> Vec<Datagram> {
    let mut random = Random::new();
    (1..=count)
        .map(|id| datagram(id, &mut random, destination(id)))
        .collect()
}

/// The packets of all of them, in their order.
pub fn packets(datagrams: &[Datagram]) -> Vec<Vec<u8>> {
    let packets = datagrams.iter().flat_map(|one| &one.packets);
    packets.cloned().collect()
}

fn datagram(id: u16, random: &mut Random, destination: Ipv4Addr) -> Datagram {
    let (how, protocol, in_pieces) = KINDS[usize::from(id) % KINDS.len()];
    let [_, b, c, d] = random.next().to_be_bytes();
    // No source that a host refuses, and none twice: 11.0.0.0 to 126.255.255.255.
    let source = Ipv4Addr::new(11 + (id % 116) as u8, b, c, d);
    // No port is 0.
    let mut ports = random.next().to_be_bytes();
    ports[0] |= 1;
    ports[2] |= 1;
    let spi = random.next().to_be_bytes();
    let payload = match protocol {
        packet::ESP => [&spi[..], &[0, 0, 0, 1], &[7; 40]].concat(),
        packet::AH => [&[packet::UDP, 4, 0, 0], &spi[..], &[0, 0, 0, 1], &[7; 40]].concat(),
        packet::UDP => packet::udp((source, destination), ports, &[7; 40]),
        packet::TCP => packet::tcp((source, destination), ports, packet::SYN),
        _ => packet::icmp(packet::ECHO, id, b"hello"),
    };
    let (payload, spi) = match how {
        "ESP of three bytes" => (payload[..3].to_vec(), None),
        "AH of seven bytes" => (payload[..7].to_vec(), None),
        _ => (payload, Some(spi)),
    };
    let is_ipsec = [packet::ESP, packet::AH].contains(&protocol);
    let has_ports = [packet::UDP, packet::TCP].contains(&protocol);
    let whole = Packet {
        source: source.octets(),
        destination: destination.octets(),
        ports: match spi {
            Some(spi) if is_ipsec => spi,
            _ if has_ports => ports,
            _ => [0; 4],
        },
        spi: spi.filter(|_| is_ipsec),
    };
    let as_it_comes = match in_pieces {
        false => whole,
        true => Packet {
            ports: [0; 4],
            spi: None,
            ..whole
        },
    };
    let mut ip = Ip::new(protocol, source, destination, payload);
    ip.id = id;
    let packets = match in_pieces {
        false => vec![ip.bytes()],
        true => ip.fragments(16),
    };
    Datagram {
        how,
        id,
        source,
        whole,
        as_it_comes,
        packets,
    }
}

/// A source whose packets to `destination` are of this number.
pub fn source_of(number: u32, mode: u32, seed: u32, total: u32, destination: Ipv4Addr) -> Ipv4Addr {
    let mut address = u32::from(Ipv4Addr::new(11, 0, 0, 1));
    loop {
        let packet = Packet {
            source: address.to_be_bytes(),
            destination: destination.octets(),
            ports: [0; 4],
            spi: None,
        };
        if packet.node(mode, seed, total) == number {
            return address.into();
        }
        address += 1;
    }
}

/// A packet of UDP from there.
pub fn udp_from(source: Ipv4Addr, destination: Ipv4Addr, id: u16) -> Ip {
    let payload = packet::udp((source, destination), [0x9c, 0x40, 0, 80], b"hello");
    let mut ip = Ip::new(packet::UDP, source, destination, payload);
    ip.id = id;
    ip
}
