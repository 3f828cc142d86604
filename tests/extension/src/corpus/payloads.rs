// SPDX-License-Identifier: GPL-2.0-only

//! Payloads that iptables cannot type, put into the kernel by hand, then shown, saved, and handed
//! back by a change to the table.

use crate::case::Case;
use crate::case::Step;
use harness::blob::Payload;

const LINES: [&str; 7] = [
    "iptables-legacy -S",
    "iptables-legacy -nvL",
    "iptables-legacy-save -c -t filter",
    "iptables-legacy -L INPUT 1 -n",
    "iptables-legacy -A INPUT -p tcp",
    "iptables-legacy -Z INPUT 1",
    "iptables-legacy -D INPUT 1",
];
/// What is handed back is shown afterwards, as after any case.
const BACK: &str = LINES[4];

pub fn cases() -> Vec<Case> {
    let put = taken()
        .into_iter()
        .map(|(name, put)| case(format!("payload {name}"), put, Vec::new()));
    let told = refused()
        .into_iter()
        .map(|(name, told)| case(format!("told {name}"), vec![Payload::default()], vec![told]));
    put.chain(told).chain(checked()).collect()
}

/// A rule looked for by its line, while one byte of the one in the kernel seems to be another: how
/// many of its bytes are compared, and which.
fn checked() -> Vec<Case> {
    let line =
        "iptables-legacy -C INPUT -d 10.0.0.80 -i lo -j CLUSTERIP --new --hashmode sourceip \
                --clustermac 01:00:5e:00:00:20 --total-nodes 2 --local-node 1";
    [0, 3, 4, 9, 10, 13, 14, 45, 46, 47, 48, 52, 55, 56, 63]
        .into_iter()
        .map(|at| {
            let mut told = [0; 64];
            told.copy_from_slice(&Payload::default().bytes());
            told[at] ^= 0x40;
            Case {
                name: format!("told another byte {at}"),
                put: vec![Payload::default()],
                told: vec![told],
                steps: Step::typed(line).into_iter().collect(),
                ..Case::default()
            }
        })
        .collect()
}

fn case(name: String, put: Vec<Payload>, told: Vec<[u8; 64]>) -> Case {
    let lines = if told.is_empty() { &LINES[..] } else { &[BACK] };
    Case {
        name,
        put,
        told,
        steps: lines.iter().filter_map(|line| Step::typed(line)).collect(),
        ..Case::default()
    }
}

/// What our module takes, and the original did.
fn taken() -> Vec<(String, Vec<Payload>)> {
    let one = Payload::default;
    let sixteen: Vec<u16> = (1..=16).collect();
    let mut payloads: Vec<(&str, Vec<Payload>)> = vec![
        ("no local node", vec![one().nodes(2, &[])]),
        ("local node 0", vec![one().nodes(2, &[0])]),
        ("two local nodes", vec![one().nodes(2, &[1, 2])]),
        ("two local nodes, turned", vec![one().nodes(2, &[2, 1])]),
        ("three of five", vec![one().nodes(5, &[5, 3, 1])]),
        ("sixteen local nodes", vec![one().nodes(16, &sixteen)]),
        ("one of 64", vec![one().nodes(64, &[1])]),
        ("the last of 64", vec![one().nodes(64, &[64])]),
        ("17 of 17", vec![one().nodes(17, &[17])]),
        ("33 and 64 of 64", vec![one().nodes(64, &[33, 64])]),
        ("a later rule", vec![one(), Payload::joining()]),
    ];
    let first = Payload { flags: 0, ..one() };
    payloads.push(("a later rule with all of the first", vec![one(), first]));
    let none = Payload {
        num_local: 0,
        ..one()
    };
    payloads.push(("no node, one in the list", vec![none]));
    let more = Payload {
        num_local: 1,
        ..one().nodes(16, &sixteen)
    };
    payloads.push(("one node, more in the list", vec![more]));
    let other = Payload {
        mode: 1,
        seed: 9,
        ..one().nodes(64, &[40])
    };
    let third = Payload {
        mode: 2,
        mac: [0xab, 0xcd, 0xef, 0x0a, 0xb0, 0x09],
        seed: u32::MAX,
        ..one().nodes(3, &[1, 2, 3])
    };
    payloads.push(("three VIPs", vec![one().nodes(2, &[2]), other, third]));
    let pointer = Payload {
        config: 0x1122_3344_5566_7788,
        ..one()
    };
    payloads.push(("a pointer", vec![pointer]));
    payloads
        .into_iter()
        .map(|(name, put)| (name.to_string(), put))
        .collect()
}

/// What no kernel takes, and what no option makes: told to the programs as if it were there.
fn refused() -> Vec<(String, [u8; 64])> {
    let one = Payload::default;
    let mut payloads: Vec<(String, Payload)> = vec![
        ("a total of 0".into(), one().nodes(0, &[1])),
        ("a total of 65".into(), one().nodes(65, &[1])),
        ("a total of 65535".into(), one().nodes(65535, &[1])),
        ("a local node above the total".into(), one().nodes(2, &[3])),
        ("a local node of 65535".into(), one().nodes(2, &[65535])),
    ];
    for num_local in [16, 17, 255, 65535] {
        payloads.push((
            format!("{num_local} nodes in a list of one"),
            Payload { num_local, ..one() },
        ));
    }
    for flags in [0, 2, 3, 0x8000_0000, 0x8000_0001, u32::MAX] {
        payloads.push((format!("flags {flags:#x}"), Payload { flags, ..one() }));
    }
    for mode in [3, 4, 255, 256, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        payloads.push((format!("mode {mode:#x}"), Payload { mode, ..one() }));
    }
    for mac in [[0; 6], [0xff; 6], [2, 0, 0, 0, 0, 1], [0x0a; 6], [0xa0; 6]] {
        payloads.push((format!("MAC {mac:02x?}"), Payload { mac, ..one() }));
    }
    for seed in [1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        payloads.push((format!("seed {seed:#x}"), Payload { seed, ..one() }));
    }
    let mut told: Vec<(String, [u8; 64])> = Vec::new();
    for (name, payload) in payloads {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(&payload.bytes());
        told.push((name, bytes));
    }
    for byte in [0, 1, 0x7f, 0x80, 0xff] {
        told.push((format!("64 bytes of {byte:#x}"), [byte; 64]));
    }
    // Each field filled, with --new so that it shows.
    for (name, field) in [
        ("the MAC", 4..10),
        ("the total", 10..12),
        ("how many nodes", 12..14),
        ("the nodes", 14..46),
        ("the hole", 46..48),
        ("the mode", 48..52),
        ("the seed", 52..56),
        ("the pointer", 56..64),
    ] {
        let mut bytes = [0; 64];
        bytes[0] = 1;
        bytes[field].fill(0xff);
        told.push((format!("{name} filled"), bytes));
    }
    let mut counted = [0; 64];
    counted
        .iter_mut()
        .zip(1..)
        .for_each(|(byte, value)| *byte = value);
    told.push(("bytes 1 to 64".into(), counted));
    told
}
