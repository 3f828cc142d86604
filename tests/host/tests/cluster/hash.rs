// SPDX-License-Identifier: GPL-2.0-only

//! The hash: the published vectors, and the kernel's own `jhash.h` for everything else.

use std::net::Ipv4Addr;

use host::cluster::hash::{Mode, Params};
use host::cluster::node::{NodeId, Total, MAX_NODES};
use proptest::prelude::*;

const VECTORS: &str = include_str!("../../vectors/hash-vectors.txt");

fn mode_named(name: &str) -> Mode {
    (0..3)
        .filter_map(Mode::from_abi)
        .find(|mode| mode.name() == name)
        .unwrap_or_else(|| panic!("no mode is called {name}"))
}

fn hex(text: &str) -> u32 {
    let digits = text.strip_prefix("0x").expect("a number in hex");
    u32::from_str_radix(digits, 16).unwrap()
}

fn wire(sport: u16, dport: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (sport.to_be_bytes(), dport.to_be_bytes());
    [a, b, c, d]
}

/// Every row of the file. The tests of a big-endian machine expect the same columns (D14).
#[test]
fn published_vectors() {
    let mut rows = 0;
    for row in VECTORS.lines().map(str::trim) {
        if row.is_empty() || row.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = row.split_whitespace().collect();
        let [mode, source, sport, dport, seed, total, results @ ..] = fields.as_slice() else {
            panic!("too few fields: {row}");
        };
        let result = |key: &str| {
            let mut values = results.iter().filter_map(|field| field.strip_prefix(key));
            values.next().unwrap_or_else(|| panic!("no {key}: {row}"))
        };

        let params = Params {
            mode: mode_named(mode),
            seed: hex(seed),
            total: Total::new(total.parse().unwrap()).unwrap(),
        };
        let source = source.parse::<Ipv4Addr>().unwrap().to_bits();
        let ports = wire(sport.parse().unwrap(), dport.parse().unwrap());
        assert_eq!(
            params.prepare().hash(source, ports),
            hex(result("hash=")),
            "{row}"
        );
        let node = params.prepare().node(source, ports).get();
        assert_eq!(node, result("node=").parse().unwrap(), "{row}");
        rows += 1;
    }
    assert_eq!(rows, 19, "rows in the file");
}

/// D14, by the name that docs/history.md has for it.
#[test]
fn bug_d14_ports_by_the_byte_order_of_the_machine() {
    published_vectors();
}

#[test]
fn modes_of_the_payload() {
    let modes = [
        (Mode::SourceIp, "sourceip", false),
        (Mode::SourceIpSourcePort, "sourceip-sourceport", true),
        (
            Mode::SourceIpSourcePortDestPort,
            "sourceip-sourceport-destport",
            true,
        ),
    ];
    for (number, (mode, name, uses_ports)) in (0..).zip(modes) {
        assert_eq!(Mode::from_abi(number), Some(mode));
        assert_eq!(mode.name(), name);
        assert_eq!(mode.uses_ports(), uses_ports);
    }
    for number in [3, 4, 255, 256, 65_536, i32::MAX as u32, u32::MAX] {
        assert_eq!(Mode::from_abi(number), None, "{number}");
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

proptest! {
    #![proptest_config(crate::config(20_000))]

    #[test]
    fn agrees_with_the_kernels_jhash(
        number in 0u32..3,
        source: [u8; 4],
        ports: [u8; 4],
        seed: u32,
        total in 1..=MAX_NODES,
    ) {
        let params = Params {
            mode: Mode::from_abi(number).unwrap(),
            seed,
            total: Total::new(total).unwrap(),
        };
        let address = u32::from_be_bytes(source);
        let ours = (params.prepare().hash(address, ports), params.prepare().node(address, ports).get());
        prop_assert_eq!(ours, jhash::hash_and_node(number, source, ports, seed, total));
        prop_assert!(params.total.contains(params.prepare().node(address, ports)));
    }

    /// What a mode does not use must not tell.
    #[test]
    fn only_what_the_mode_names_is_hashed(source: u32, one: [u8; 4], other: [u8; 4], seed: u32) {
        let hash = |mode, ports| {
            Params { mode, seed, total: Total::new(2).unwrap() }.prepare().hash(source, ports)
        };
        let [a, b, ..] = one;
        let [_, _, c, d] = other;
        prop_assert_eq!(hash(Mode::SourceIp, one), hash(Mode::SourceIp, other));
        let mode = Mode::SourceIpSourcePort;
        prop_assert_eq!(hash(mode, one), hash(mode, [a, b, c, d]));
    }
}
