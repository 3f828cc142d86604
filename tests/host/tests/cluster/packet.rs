// SPDX-License-Identifier: GPL-2.0-only

//! IPv4 headers, and whole packets on their way from bytes to a node (§3.2, §3.4).

use etherparse::{
    IcmpEchoHeader, Icmpv4Header, Icmpv4Type, IpAuthHeader, IpFragOffset, IpNumber, Ipv4Header,
    TcpHeader, UdpHeader,
};
use host::cluster::hash::{Flow, Mode, Params};
use host::cluster::node::Total;
use host::cluster::packet::{has_spi, is_icmp_error, ports_offset, Header, ICMP, MIN_LEN};
use proptest::prelude::*;

/// The cluster of §3.4's protocol rows.
fn params() -> Params {
    Params {
        mode: Mode::SourceIpSourcePortDestPort,
        seed: 0xabcd_ef01,
        total: Total::new(16).unwrap(),
    }
}

/// What is hashed of a packet: its header, and the port bytes, or the SPI, where there are any.
fn flow_of(packet: &[u8]) -> Option<Flow> {
    let header = Header::new(packet.first_chunk()?);
    let ports = header
        .ports_at()
        .and_then(|at| packet.get(at..)?.first_chunk().copied());
    Some(Flow {
        source: header.source,
        destination: header.destination,
        ports: ports.unwrap_or_default(),
        spi: ports
            .filter(|_| has_spi(header.protocol))
            .map(u32::from_be_bytes),
    })
}

/// The way of a packet through the module.
fn node_of(packet: &[u8]) -> Option<u32> {
    Some(params().prepare().node(&flow_of(packet)?).get())
}

/// The node of an address alone, or with these bytes in the place of ports.
fn node_by(source: u32, ports: [u8; 4]) -> u32 {
    let flow = Flow {
        source,
        destination: 0x0a00_0050,
        ports,
        spi: None,
    };
    params().prepare().node(&flow).get()
}

fn ipv4(source: [u8; 4], protocol: u8, payload: &[u8]) -> Ipv4Header {
    let length = payload.len().try_into().unwrap();
    Ipv4Header::new(length, 64, IpNumber(protocol), source, [10, 0, 0, 80]).unwrap()
}

fn packet_of(header: &Ipv4Header, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    header.write(&mut packet).unwrap();
    packet.extend_from_slice(payload);
    packet
}

fn packet(source: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    packet_of(&ipv4(source, protocol, payload), payload)
}

fn tcp() -> Vec<u8> {
    TcpHeader::new(40_000, 8080, 1, 65_535).to_bytes().to_vec()
}

fn udp() -> Vec<u8> {
    let header = UdpHeader::without_ipv4_checksum(40_000, 8080, 0).unwrap();
    header.to_bytes().to_vec()
}

/// Ports as TCP has them, in front of what SCTP or DCCP add.
fn ports_and(rest: usize) -> Vec<u8> {
    let mut bytes = vec![0x9c, 0x40, 0x1f, 0x90];
    bytes.resize(4 + rest, 0xa5);
    bytes
}

fn esp() -> Vec<u8> {
    let mut bytes = 0x1122_3344u32.to_be_bytes().to_vec();
    bytes.extend([0, 0, 0, 1, 0xaa, 0xbb, 0xcc, 0xdd]);
    bytes
}

fn ah() -> Vec<u8> {
    let header = IpAuthHeader::new(IpNumber::TCP, 0x5566_7788, 1, &[0; 12]).unwrap();
    header.to_bytes().to_vec()
}

fn icmp(message: Icmpv4Type) -> Vec<u8> {
    Icmpv4Header::with_checksum(message, &[])
        .to_bytes()
        .to_vec()
}

/// §3.4's protocol rows: protocol, transport bytes, node.
fn protocol_vectors() -> Vec<(&'static str, u8, Vec<u8>, u32)> {
    let echo = IcmpEchoHeader { id: 7, seq: 1 };
    let timestamp = [&[13, 0, 0, 0, 0, 7, 0, 1][..], &[0; 12]].concat();
    vec![
        ("TCP", 6, tcp(), 12),
        ("UDP", 17, udp(), 12),
        ("UDP-Lite", 136, udp(), 12),
        ("SCTP", 132, ports_and(8), 12),
        ("DCCP", 33, ports_and(12), 12),
        ("ESP", 50, esp(), 15),
        ("AH", 51, ah(), 7),
        ("ICMP echo", 1, icmp(Icmpv4Type::EchoRequest(echo)), 1),
        ("ICMP timestamp", 1, timestamp, 1),
        ("GRE", 47, ports_and(4), 1),
        ("IPIP", 4, packet([192, 0, 2, 9], 17, &udp()), 1),
        ("protocol 253", 253, ports_and(4), 1),
        ("3-byte ESP", 50, esp()[..3].to_vec(), 1),
    ]
}

#[test]
fn protocols() {
    for (name, protocol, payload, node) in protocol_vectors() {
        let packet = packet([10, 0, 0, 7], protocol, &payload);
        assert_eq!(node_of(&packet), Some(node), "{name}");
    }
}

#[test]
fn protocols_behind_ip_options() {
    for length in (4..=40).step_by(4) {
        for (name, protocol, payload, node) in protocol_vectors() {
            let mut header = ipv4([10, 0, 0, 7], protocol, &payload);
            // No-operation, the option that can be repeated to any length.
            header.options = vec![1; length].as_slice().try_into().unwrap();
            let packet = packet_of(&header, &payload);
            assert_eq!(node_of(&packet), Some(node), "{name}, {length} bytes");
        }
    }
}

/// The SPI of an AH stands behind four other bytes: up to eight, there is none to hash.
#[test]
fn truncated_ah() {
    for length in 0..8 {
        let packet = packet([10, 0, 0, 8], 51, &ah()[..length]);
        assert_eq!(node_of(&packet), Some(4), "{length} bytes");
    }
    assert_eq!(node_by(0x0a00_0008, [0; 4]), 4);
    let spi = node_by(0x0a00_0008, [0x55, 0x66, 0x77, 0x88]);
    assert_eq!(node_of(&packet([10, 0, 0, 8], 51, &ah()[..8])), Some(spi));
}

/// Which packets have an SPI, and which: a whole one of ESP or AH, never a fragment.
#[test]
fn spi() {
    for (name, protocol, payload, _) in protocol_vectors() {
        let wanted = match name {
            "ESP" => Some(0x1122_3344),
            "AH" => Some(0x5566_7788),
            _ => None,
        };
        let mut header = ipv4([10, 0, 0, 7], protocol, &payload);
        for options in [0, 4, 40] {
            header.options = vec![1; options].as_slice().try_into().unwrap();
            let seen = flow_of(&packet_of(&header, &payload)).unwrap();
            assert_eq!(seen.spi, wanted, "{name}, {options} bytes of options");
            assert_eq!((seen.source, seen.destination), (0x0a00_0007, 0x0a00_0050));
        }
        for (more, offset) in [(true, 0), (true, 1), (false, 1)] {
            header.dont_fragment = false;
            header.more_fragments = more;
            header.fragment_offset = IpFragOffset::try_new(offset).unwrap();
            let piece = flow_of(&packet_of(&header, &payload)).unwrap();
            assert_eq!(piece.spi, None, "{name}, a piece");
        }
    }
    let with_spi: Vec<u8> = (0..=u8::MAX)
        .filter(|&protocol| has_spi(protocol))
        .collect();
    assert_eq!(with_spi, [50, 51]);
}

/// An SPI of less than four bytes is none.
#[test]
fn truncated_spi() {
    for (protocol, payload, end) in [(50, esp(), 4), (51, ah(), 8)] {
        for length in 0..=payload.len() {
            let seen = flow_of(&packet([10, 0, 0, 7], protocol, &payload[..length])).unwrap();
            assert_eq!(
                seen.spi.is_some(),
                length >= end,
                "protocol {protocol}, {length}"
            );
        }
    }
}

/// Every prefix of every packet, options included: no node without a header, no ports without
/// four bytes of them, and the same node from there on.
#[test]
fn every_truncation() {
    for (name, protocol, payload, node) in protocol_vectors() {
        for options in [0, 4, 40] {
            let mut header = ipv4([10, 0, 0, 7], protocol, &payload);
            header.options = vec![1; options].as_slice().try_into().unwrap();
            let whole = packet_of(&header, &payload);
            for length in 0..=whole.len() {
                let ports_end = ports_offset(protocol).map(|at| MIN_LEN + options + at + 4);
                let expected = match length {
                    0..MIN_LEN => None,
                    _ if ports_end.is_some_and(|end| length >= end) => Some(node),
                    _ => Some(1),
                };
                assert_eq!(node_of(&whole[..length]), expected, "{name}, {length}");
            }
        }
    }
}

/// All pieces of a datagram go to one node: that of a packet without ports.
#[test]
fn fragments() {
    let payload = udp();
    for (more, offset) in [(true, 0), (true, 1), (true, 185), (false, 1), (false, 8191)] {
        let mut header = ipv4([10, 0, 0, 7], 17, &payload);
        header.dont_fragment = false;
        header.more_fragments = more;
        header.fragment_offset = IpFragOffset::try_new(offset).unwrap();
        let packet = packet_of(&header, &payload);
        assert_eq!(node_of(&packet), Some(1), "more {more}, offset {offset}");

        let parsed = Header::new(packet.first_chunk().unwrap());
        assert!(parsed.fragment);
    }

    let mut whole = ipv4([10, 0, 0, 7], 17, &payload);
    for dont_fragment in [false, true] {
        whole.dont_fragment = dont_fragment;
        let packet = packet_of(&whole, &payload);
        assert_eq!(node_of(&packet), Some(12));
        let parsed = Header::new(packet.first_chunk().unwrap());
        assert!(!parsed.fragment);
    }
}

fn base() -> [u8; MIN_LEN] {
    let bytes = packet([10, 0, 0, 7], 6, &[]);
    *bytes.first_chunk().unwrap()
}

/// As the header says it, whatever that is.
#[test]
fn length() {
    for first in 0..=u8::MAX {
        let mut bytes = base();
        bytes[0] = first;
        let words = usize::from(first % 16);
        assert_eq!(Header::new(&bytes).len, words * 4, "{first:#04x}");
    }
}

#[test]
fn fragment_word() {
    for word in 0..=u16::MAX {
        let mut bytes = base();
        bytes[6..8].copy_from_slice(&word.to_be_bytes());
        let header = Header::new(&bytes);
        let (more, offset) = (word & 0x2000 != 0, word % 0x2000);
        assert_eq!(header.fragment, more || offset > 0, "{word:#06x}");
        assert_eq!(header.ports_at(), (!header.fragment).then_some(MIN_LEN));
    }
}

/// The table is frozen: all 256 protocols.
#[test]
fn protocol_table() {
    for protocol in 0..=u8::MAX {
        let mut bytes = base();
        bytes[9] = protocol;
        let header = Header::new(&bytes);
        assert_eq!(header.protocol, protocol);
        let offset = match protocol {
            6 | 17 | 33 | 50 | 132 | 136 => Some(0),
            51 => Some(4),
            _ => None,
        };
        assert_eq!(ports_offset(protocol), offset, "{protocol}");
        assert_eq!(header.ports_at(), offset.map(|offset| MIN_LEN + offset));
    }
}

#[test]
fn icmp_errors() {
    assert_eq!(ICMP, IpNumber::ICMP.0);
    let errors: Vec<u8> = (0..=u8::MAX).filter(|&kind| is_icmp_error(kind)).collect();
    assert_eq!(errors, [3, 4, 5, 11, 12]);
}

proptest! {
    #![proptest_config(crate::config(5_000))]

    #[test]
    fn fields_stand_where_rfc_791_puts_them(mut bytes: [u8; MIN_LEN]) {
        bytes[0] = 0x40 | (5 + bytes[0] % 11);
        let header = Header::new(&bytes);
        prop_assert_eq!(header.source.to_be_bytes(), [bytes[12], bytes[13], bytes[14], bytes[15]]);
        prop_assert_eq!(header.destination.to_be_bytes(), [bytes[16], bytes[17], bytes[18], bytes[19]]);
        prop_assert_eq!(header.protocol, bytes[9]);

        // The others are not looked at.
        let mut others = bytes;
        for at in [1, 2, 3, 4, 5, 8, 10, 11] {
            others[at] ^= 0xff;
        }
        prop_assert_eq!(Header::new(&others), header);
    }

    #[test]
    fn any_bytes_at_all(bytes: Vec<u8>) {
        // That there is an answer is what is asked for here: no panic.
        let node = node_of(&bytes);
        prop_assert!(node.is_none_or(|node| (1..=16).contains(&node)));
    }
}
