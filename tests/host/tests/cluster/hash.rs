// SPDX-License-Identifier: GPL-2.0-only

//! The hash: the published vectors, and the kernel's own `jhash.h` for everything else.

use std::net::Ipv4Addr;

use host::cluster::hash::{Flow, Mode, Params};
use host::cluster::node::{NodeId, Total, MAX_NODES};
use jhash::Packet;
use proptest::prelude::*;

const VECTORS: &str = include_str!("../../vectors/hash-vectors.txt");
const VECTORS_REV1: &str = include_str!("../../vectors/hash-vectors-rev1.txt");

/// By number, as a rule's payload has them.
const MODES: [(Mode, &str, bool, bool); 6] = [
    // Mode, name, whether ports are hashed, whether anything behind the IP header is.
    (Mode::SourceIp, "sourceip", false, false),
    (Mode::SourceIpSourcePort, "sourceip-sourceport", true, true),
    (
        Mode::SourceIpSourcePortDestPort,
        "sourceip-sourceport-destport",
        true,
        true,
    ),
    (Mode::DestIp, "destip", false, false),
    (Mode::SourceIpDestIp, "sourceip-destip", false, false),
    (Mode::SourceIpSpi, "sourceip-spi", false, true),
];

fn mode_named(name: &str) -> Mode {
    let found = MODES.iter().find(|(_, other, ..)| *other == name);
    found
        .unwrap_or_else(|| panic!("no mode is called {name}"))
        .0
}

fn hex(text: &str) -> u32 {
    let digits = text.strip_prefix("0x").expect("a number in hex");
    u32::from_str_radix(digits, 16).unwrap()
}

fn address(text: &str) -> u32 {
    text.parse::<Ipv4Addr>().unwrap().to_bits()
}

fn wire(sport: u16, dport: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (sport.to_be_bytes(), dport.to_be_bytes());
    [a, b, c, d]
}

/// What our code says of a packet that the oracle is asked about.
fn flow(packet: &Packet) -> Flow {
    Flow {
        source: u32::from_be_bytes(packet.source),
        destination: u32::from_be_bytes(packet.destination),
        ports: packet.ports,
        spi: packet.spi.map(u32::from_be_bytes),
    }
}

/// The rows of a file, each as its words.
fn rows(file: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = file.lines().map(str::trim);
    rows.filter(|row| !row.is_empty() && !row.starts_with('#'))
        .map(|row| row.split_whitespace().collect())
}

/// Hash and node are what the words at a row's end say.
fn expect_results(row: &[&str], mode: &str, flow: &Flow, seed: &str, total: &str) {
    let result = |key: &str| {
        let mut values = row.iter().filter_map(|field| field.strip_prefix(key));
        values.next().unwrap_or_else(|| panic!("no {key}: {row:?}"))
    };
    let params = Params {
        mode: mode_named(mode),
        seed: hex(seed),
        total: Total::new(total.parse().unwrap()).unwrap(),
    };
    let prepared = params.prepare();
    assert_eq!(prepared.hash(flow), hex(result("hash=")), "{row:?}");
    let node = prepared.node(flow).get();
    assert_eq!(node, result("node=").parse::<u32>().unwrap(), "{row:?}");
}

/// Every row of the file. The tests of a big-endian machine expect the same columns (D14).
#[test]
fn published_vectors() {
    let mut count = 0;
    for row in rows(VECTORS) {
        let [mode, source, sport, dport, seed, total, ..] = row[..] else {
            panic!("too few fields: {row:?}");
        };
        let flow = Flow {
            source: address(source),
            // Whatever it is, these modes do not hash it.
            destination: hex(seed).rotate_left(7),
            ports: wire(sport.parse().unwrap(), dport.parse().unwrap()),
            spi: None,
        };
        expect_results(&row, mode, &flow, seed, total);
        count += 1;
    }
    assert_eq!(count, 19, "rows in the file");
}

/// The three modes that revision 1 has more, on machines of both byte orders, too.
#[test]
fn published_vectors_of_revision_1() {
    let mut counts = [0; 6];
    for row in rows(VECTORS_REV1) {
        let [mode, source, destination, _, spi, seed, total, ..] = row[..] else {
            panic!("too few fields: {row:?}");
        };
        let flow = Flow {
            source: address(source),
            destination: address(destination),
            // Nor do these hash ports.
            ports: hex(seed).to_be_bytes(),
            spi: (spi != "-").then(|| hex(spi)),
        };
        expect_results(&row, mode, &flow, seed, total);
        counts[mode_named(mode).to_abi() as usize] += 1;
    }
    assert_eq!(counts, [0, 0, 0, 10, 20, 12], "rows in the file");
}

/// D14, by the name that docs/history.md has for it.
#[test]
fn bug_d14_ports_by_the_byte_order_of_the_machine() {
    published_vectors();
    published_vectors_of_revision_1();
}

#[test]
fn modes_of_the_payload() {
    for (number, (mode, name, uses_ports, looks_behind_ip)) in (0..).zip(MODES) {
        assert_eq!(Mode::from_abi(number), Some(mode));
        assert_eq!(mode.to_abi(), number);
        assert_eq!(mode.name(), name);
        assert_eq!(Mode::from_name(name.as_bytes()), Some(mode));
        assert_eq!(mode.uses_ports(), uses_ports, "{name}");
        assert_eq!(mode.looks_behind_ip(), looks_behind_ip, "{name}");
        assert_eq!(mode.is_in_revision_0(), number <= 2, "{name}");
    }
    for number in [6, 7, 255, 256, 65_536, i32::MAX as u32, u32::MAX] {
        assert_eq!(Mode::from_abi(number), None, "{number}");
    }
    for name in [
        "",
        "source",
        "sourceip-",
        "SourceIP",
        "sourceip-spi ",
        "destip-sourceip",
    ] {
        assert_eq!(Mode::from_name(name.as_bytes()), None, "{name}");
    }
}

/// A multiplication, not a remainder: the ends of the range tell them apart.
#[test]
fn scaling() {
    for count in 1..=MAX_NODES {
        let total = Total::new(count).unwrap();
        assert_eq!(total.node_of(0).get(), 1);
        assert_eq!(total.node_of(u32::MAX).get(), count);
    }
    let two = Total::new(2).unwrap();
    assert_eq!(two.node_of(0x7fff_ffff), NodeId::new(1).unwrap());
    assert_eq!(two.node_of(0x8000_0000), NodeId::new(2).unwrap());
}

fn any_packet() -> impl Strategy<Value = Packet> {
    // Addresses that differ in one byte only come up, too, and equal ones.
    let other = prop_oneof![
        4 => any::<[u8; 4]>().prop_map(|bytes| (4, bytes)),
        1 => (0..4usize, any::<[u8; 4]>()),
        1 => Just((5, [0; 4])),
    ];
    let spi = prop::option::of(any::<[u8; 4]>());
    let fields = (any::<[u8; 4]>(), other, any::<[u8; 4]>(), spi);
    fields.prop_map(|(source, (place, bytes), ports, spi)| {
        let mut destination = source;
        match place {
            0..4 => destination[place] = bytes[place],
            4 => destination = bytes,
            _ => {}
        }
        Packet {
            source,
            destination,
            ports,
            spi,
        }
    })
}

proptest! {
    #![proptest_config(crate::config(20_000))]

    #[test]
    fn agrees_with_the_kernels_jhash(
        number in 0u32..6,
        packet in any_packet(),
        seed: u32,
        total in 1..=MAX_NODES,
    ) {
        let params = Params {
            mode: Mode::from_abi(number).unwrap(),
            seed,
            total: Total::new(total).unwrap(),
        };
        let (prepared, flow) = (params.prepare(), flow(&packet));
        let ours = (prepared.hash(&flow), prepared.node(&flow).get());
        prop_assert_eq!(ours, packet.hash_and_node(number, seed, total));
        prop_assert!(params.total.contains(prepared.node(&flow)));
        prop_assert_eq!(prepared.params(), params);
        prop_assert_eq!(prepared.mode(), params.mode);
        // The ways that the packet path takes by itself.
        match params.mode {
            Mode::SourceIp => prop_assert_eq!(prepared.one_word(flow.source), ours.0),
            Mode::DestIp => prop_assert_eq!(prepared.one_word(flow.destination), ours.0),
            mode if mode.uses_ports() => {
                prop_assert_eq!(prepared.with_ports(flow.source, flow.ports), ours.0);
            }
            _ => {}
        }
    }

    /// What a mode does not use must not tell.
    #[test]
    fn only_what_the_mode_names_is_hashed(one in any_packet(), other in any_packet(), seed: u32) {
        let (one, other) = (flow(&one), flow(&other));
        let hash = |mode, flow: &Flow| {
            Params { mode, seed, total: Total::new(2).unwrap() }.prepare().hash(flow)
        };
        let ([a, b, ..], [_, _, c, d]) = (one.ports, other.ports);
        let same: [(Mode, Flow); 6] = [
            (Mode::SourceIp, Flow { source: one.source, ..other }),
            (Mode::SourceIpSourcePort, Flow { source: one.source, ports: [a, b, c, d], ..other }),
            (Mode::SourceIpSourcePortDestPort, Flow { source: one.source, ports: one.ports, ..other }),
            (Mode::DestIp, Flow { destination: one.destination, ..other }),
            (Mode::SourceIpDestIp, Flow { source: one.source, destination: one.destination, ..other }),
            (Mode::SourceIpSpi, Flow { source: one.source, spi: one.spi, ..other }),
        ];
        for (mode, flow) in same {
            prop_assert_eq!(hash(mode, &flow), hash(mode, &one), "{}", mode.name());
        }
    }

    /// Both directions of a flow name one node; and what one arm of a firewall names by the source, the other
    /// names for the answer by the destination.
    #[test]
    fn a_packet_and_its_answer(packet in any_packet(), seed: u32, total in 1..=MAX_NODES) {
        let question = flow(&packet);
        let answer = Flow {
            source: question.destination,
            destination: question.source,
            ..question
        };
        let node = |mode, flow: &Flow| {
            Params { mode, seed, total: Total::new(total).unwrap() }.prepare().node(flow)
        };
        let both = Mode::SourceIpDestIp;
        prop_assert_eq!(node(both, &question), node(both, &answer));
        prop_assert_eq!(node(Mode::SourceIp, &question), node(Mode::DestIp, &answer));
        prop_assert_eq!(node(Mode::DestIp, &question), node(Mode::SourceIp, &answer));
        let without = Flow { spi: None, ..question };
        prop_assert_eq!(node(Mode::SourceIpSpi, &without), node(Mode::SourceIp, &question));
    }
}
