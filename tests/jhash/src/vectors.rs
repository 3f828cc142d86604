// SPDX-License-Identifier: GPL-2.0-only

//! The published vectors of the modes that revision 1 has more: the questions, and what the oracle answers.

use super::Packet;
use std::fmt::Write;
use std::net::Ipv4Addr;

const HEAD: &str = "\
# SPDX-License-Identifier: GPL-2.0-only
# mode source destination protocol SPI seed total, and what the kernel's own jhash.h makes of it: the same on machines
# of both byte orders. An SPI of - is none: the protocol has none, or the packet is a fragment.
# Printed by `cargo run -p jhash --example vectors`.
";

/// Source, destination, protocol, SPI, seed, total.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    Option<u32>,
    u32,
    u32,
);

const DESTIP: [Row; 10] = [
    ("10.0.0.80", "192.0.2.1", "tcp", None, 0, 1),
    // Answers to the packets that hash-vectors.txt has for sourceip: same hash.
    ("10.0.0.80", "192.0.2.1", "udp", None, 0, 2),
    ("10.0.0.80", "198.51.100.77", "tcp", None, 0x1234_5678, 3),
    ("10.0.0.80", "203.0.113.200", "icmp", None, 0xdead_beef, 5),
    ("192.0.2.99", "10.1.2.3", "udp", None, 0xffff_ffff, 16),
    ("10.0.0.80", "0.0.0.1", "udp", None, 1, 64),
    ("10.0.0.80", "255.255.255.254", "udp", None, 1, 65),
    ("255.255.255.254", "0.0.0.1", "tcp", None, 0x8000_0000, 1000),
    (
        "172.16.255.255",
        "172.16.255.255",
        "udp",
        None,
        0x7fff_ffff,
        1023,
    ),
    (
        "10.0.0.80",
        "192.0.2.254",
        "esp",
        Some(0x1122_3344),
        0xcafe_babe,
        1024,
    ),
];

/// Each once more with its addresses exchanged.
const SOURCEIP_DESTIP: [Row; 10] = [
    ("192.0.2.1", "198.51.100.77", "tcp", None, 0, 1),
    ("192.0.2.1", "198.51.100.77", "udp", None, 0, 2),
    ("10.0.0.1", "192.0.2.99", "tcp", None, 0x1234_5678, 3),
    ("10.1.2.3", "203.0.113.200", "icmp", None, 0xdead_beef, 5),
    ("10.0.0.7", "10.0.0.80", "udp", None, 0xffff_ffff, 16),
    // Below and above 2^31: they are compared without a sign.
    ("127.255.255.255", "128.0.0.0", "udp", None, 1, 64),
    ("0.0.0.1", "255.255.255.254", "udp", None, 1, 65),
    // In the order of their first bytes, not of their last.
    ("1.0.0.2", "2.0.0.1", "tcp", None, 0x8000_0000, 1000),
    (
        "172.16.255.255",
        "172.16.255.255",
        "udp",
        None,
        0x7fff_ffff,
        1023,
    ),
    (
        "198.51.100.1",
        "203.0.113.1",
        "esp",
        Some(0x1122_3344),
        0xcafe_babe,
        1024,
    ),
];

const SOURCEIP_SPI: [Row; 12] = [
    ("192.0.2.1", "10.0.0.80", "esp", Some(0xc000_0001), 0, 1),
    ("192.0.2.1", "10.0.0.80", "esp", Some(0xc000_0001), 0, 2),
    (
        "198.51.100.77",
        "10.0.0.80",
        "esp",
        Some(0x1122_3344),
        0x1234_5678,
        3,
    ),
    (
        "198.51.100.77",
        "10.0.0.80",
        "ah",
        Some(0x1122_3344),
        0x1234_5678,
        3,
    ),
    (
        "203.0.113.200",
        "10.0.0.80",
        "ah",
        Some(0x0000_0100),
        0xdead_beef,
        5,
    ),
    // Without an SPI, as sourceip has it in hash-vectors.txt.
    ("198.51.100.77", "10.0.0.80", "esp", None, 0x1234_5678, 3),
    ("10.1.2.3", "10.0.0.80", "udp", None, 0xffff_ffff, 16),
    // An SPI of zero is one: nobody sends it, and the hash is another than without.
    ("10.1.2.3", "10.0.0.80", "esp", Some(0), 0xffff_ffff, 16),
    ("0.0.0.1", "10.0.0.80", "esp", Some(0xffff_ffff), 1, 64),
    (
        "255.255.255.254",
        "10.0.0.80",
        "ah",
        Some(0xc0de_cafe),
        1,
        65,
    ),
    (
        "10.0.0.80",
        "10.0.0.80",
        "esp",
        Some(0x0102_0304),
        0x7fff_ffff,
        1023,
    ),
    ("192.0.2.254", "10.0.0.80", "tcp", None, 0xcafe_babe, 1024),
];

/// The whole file.
pub fn revision_1() -> String {
    let mut text = HEAD.to_string();
    for row in DESTIP {
        print(&mut text, 3, "destip", row);
    }
    for row in SOURCEIP_DESTIP {
        let (source, destination, protocol, spi, seed, total) = row;
        print(&mut text, 4, "sourceip-destip", row);
        let back = (destination, source, protocol, spi, seed, total);
        print(&mut text, 4, "sourceip-destip", back);
    }
    for row in SOURCEIP_SPI {
        print(&mut text, 5, "sourceip-spi", row);
    }
    text
}

fn print(text: &mut String, mode: u32, name: &str, row: Row) {
    let (source, destination, protocol, spi, seed, total) = row;
    let octets = |address: &str| address.parse::<Ipv4Addr>().expect("an address").octets();
    let packet = Packet {
        source: octets(source),
        destination: octets(destination),
        ports: [0; 4],
        spi: spi.map(u32::to_be_bytes),
    };
    let (hash, node) = packet.hash_and_node(mode, seed, total);
    let spi = spi.map_or("-".to_string(), |spi| format!("{spi:#010x}"));
    let asked = format!("{name} {source} {destination} {protocol} {spi} {seed:#010x} {total}");
    writeln!(text, "{asked} hash={hash:#010x} node={node}").expect("a String takes everything");
}
