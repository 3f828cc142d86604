// SPDX-License-Identifier: GPL-2.0-only

//! The payload of revision 1: its bytes, and which payloads are refused for what; the words for all refusals.

use std::mem::{align_of, offset_of, size_of};
use std::net::Ipv4Addr;

use host::cluster::abi::{Payload, Refusal, TargetInfo1, DEVICE_LEN, FLAG_NEW, FLAG_NO_MARK};
use host::cluster::arp::Mac;
use host::cluster::hash::Mode;
use host::cluster::node::{NodeId, NodeSet};
use proptest::prelude::*;
use zerocopy::{FromBytes, IntoBytes};

const MAC: [u8; 6] = [0x01, 0x00, 0x5e, 0x00, 0x01, 0x14];

/// `--new --vip 10.0.0.80 --dev eth0 --hashmode sourceip-destip --total-nodes 1000 --local-nodes 2,999`.
fn rule() -> TargetInfo1 {
    let mut info = TargetInfo1::read_from_bytes(&[0; 168]).unwrap();
    info.flags = FLAG_NEW;
    info.clustermac = MAC;
    info.num_total_nodes = 1000;
    info.hash_mode = 4;
    info.hash_initval = 0x1234_5678;
    info.vip = [10, 0, 0, 80];
    info.device[..4].copy_from_slice(b"eth0");
    info.local_nodes[0] = 0b10;
    info.local_nodes[31] = 1 << 6;
    info
}

fn set(numbers: &[u32]) -> NodeSet {
    let nodes = numbers.iter().map(|&number| NodeId::new(number).unwrap());
    nodes.collect()
}

#[test]
fn layout() {
    assert_eq!(size_of::<TargetInfo1>(), 168);
    assert_eq!(align_of::<TargetInfo1>(), 4);
    assert_eq!(TargetInfo1::REVISION, 1);
    assert_eq!(DEVICE_LEN, 16);
    let ours = [
        (offset_of!(TargetInfo1, flags), 4),
        (offset_of!(TargetInfo1, clustermac), 6),
        (offset_of!(TargetInfo1, num_total_nodes), 2),
        (offset_of!(TargetInfo1, hash_mode), 4),
        (offset_of!(TargetInfo1, hash_initval), 4),
        (offset_of!(TargetInfo1, vip), 4),
        (offset_of!(TargetInfo1, device), 16),
        (offset_of!(TargetInfo1, local_nodes), 128),
        // The kernel's own word, and the whole.
        (168, 8),
        (0, 176),
    ];
    // As documented, and as a C compiler has it of include/clusterip.h.
    let offsets = ours.map(|(offset, _)| offset);
    assert_eq!(offsets, [0, 4, 10, 12, 16, 20, 24, 40, 168, 0]);
    assert_eq!(header::revision_1(), ours);
    assert_eq!(header::flags()[1..], [FLAG_NEW, FLAG_NO_MARK]);
}

#[test]
fn bytes_of_a_rule() {
    let mut bytes = [0; 168];
    bytes[..4].copy_from_slice(&1u32.to_ne_bytes());
    bytes[4..10].copy_from_slice(&MAC);
    bytes[10..12].copy_from_slice(&1000u16.to_ne_bytes());
    bytes[12..16].copy_from_slice(&4u32.to_ne_bytes());
    bytes[16..20].copy_from_slice(&0x1234_5678u32.to_ne_bytes());
    bytes[20..24].copy_from_slice(&[10, 0, 0, 80]);
    bytes[24..28].copy_from_slice(b"eth0");
    bytes[40..44].copy_from_slice(&2u32.to_ne_bytes());
    bytes[164..168].copy_from_slice(&64u32.to_ne_bytes());
    assert_eq!(rule().as_bytes(), bytes);
    assert_eq!(TargetInfo1::read_from_bytes(&bytes), Ok(rule()));
}

/// The types hold what the checks let through.
#[test]
fn a_good_rule() {
    let info = rule();
    assert!(info.is_new() && info.marks());
    assert_eq!(info.mode(), Ok(Mode::SourceIpDestIp));
    let (total, local) = info.nodes().unwrap();
    assert_eq!(total.get(), 1000);
    assert_eq!(local, set(&[2, 999]));
    assert_eq!(info.local(), Ok(local));
    assert_eq!(info.mac(), Mac::new(MAC));
    assert_eq!(info.seed(), 0x1234_5678);
    assert_eq!(info.vip(), Some(Ipv4Addr::new(10, 0, 0, 80)));
    assert_eq!(info.device(), Some(b"eth0\0\0\0\0\0\0\0\0\0\0\0\0"));
}

/// What is left to `-d` and `-i`.
#[test]
fn empty_is_not_said() {
    let nothing = TargetInfo1 {
        vip: [0; 4],
        device: [0; 16],
        ..rule()
    };
    assert_eq!((nothing.vip(), nothing.device()), (None, None));
    assert!(nothing.mode().is_ok());
    // What stands behind the NUL of an empty name does not make it one.
    let mut hidden = nothing;
    hidden.device[1..].fill(b'x');
    assert_eq!(hidden.device(), None);
    assert_eq!(
        TargetInfo1 {
            vip: [0, 0, 0, 1],
            ..rule()
        }
        .vip(),
        Some(Ipv4Addr::new(0, 0, 0, 1))
    );
}

#[test]
fn flags() {
    for (flags, new, marks) in [
        (0, false, true),
        (1, true, true),
        (2, false, false),
        (3, true, false),
    ] {
        let info = TargetInfo1 { flags, ..rule() };
        assert_eq!((info.is_new(), info.marks()), (new, marks), "{flags:#x}");
        assert!(info.mode().is_ok(), "{flags:#x}");
    }
    for bit in 2..32 {
        let flags = (1 << bit) | 1;
        let refusal = Err(Refusal::UnknownFlags(flags));
        assert_eq!(TargetInfo1 { flags, ..rule() }.mode(), refusal);
    }
}

#[test]
fn modes() {
    let mode = |hash_mode| {
        TargetInfo1 {
            hash_mode,
            ..rule()
        }
        .mode()
    };
    let names = [
        "sourceip",
        "sourceip-sourceport",
        "sourceip-sourceport-destport",
        "destip",
        "sourceip-destip",
        "sourceip-spi",
    ];
    for (number, name) in (0..).zip(names) {
        assert_eq!(mode(number).unwrap().name(), name);
    }
    for number in [6, 7, 256, u32::MAX] {
        assert_eq!(mode(number), Err(Refusal::UnknownMode(number)));
    }
}

/// A name has its NUL within the 16 bytes.
#[test]
fn names_of_devices() {
    let mut info = rule();
    info.device = *b"abcdefghijklmno\0";
    assert!(info.mode().is_ok());
    assert_eq!(info.device(), Some(b"abcdefghijklmno\0"));
    info.device = *b"abcdefghijklmnop";
    assert_eq!(info.mode(), Err(Refusal::EndlessDevice));
}

#[test]
fn totals_and_local_nodes() {
    for total in [0, 1025, 1026, 2048, 65_535] {
        let info = TargetInfo1 {
            num_total_nodes: total,
            ..rule()
        };
        assert_eq!(info.nodes(), Err(Refusal::BadTotalOfMany(total)));
        // A rule that joins says no total: what it names is no matter then.
        assert!(info.local().is_ok());
    }
    for total in [1, 2, 64, 65, 999, 1000, 1024] {
        let mut info = TargetInfo1 {
            num_total_nodes: total,
            ..rule()
        };
        for node in [1, 2, 32, 33, 64, 65, 998, 999, 1000, 1023, 1024] {
            info.local_nodes = set(&[node]).to_words();
            let refusal = Refusal::LocalAboveTotal {
                node: node as u16,
                total,
            };
            let seen = info.nodes().map(|(total, local)| (total.get(), local));
            let wanted = match node <= u32::from(total) {
                true => Ok((u32::from(total), set(&[node]))),
                false => Err(refusal),
            };
            assert_eq!(seen, wanted, "{node} of {total}");
        }
        info.local_nodes = [0; 32];
        assert_eq!(info.nodes().unwrap().1, NodeSet::EMPTY);
    }
    // The highest is named.
    let mut info = TargetInfo1 {
        num_total_nodes: 2,
        ..rule()
    };
    info.local_nodes = set(&[1, 3, 700, 65]).to_words();
    assert_eq!(
        info.nodes(),
        Err(Refusal::LocalAboveTotal {
            node: 700,
            total: 2
        })
    );
}

/// Of several faults one is told: mended one by one, they come in this order.
#[test]
fn order_of_the_checks() {
    let mut info = rule();
    info.flags = 0x101;
    info.device = [b'x'; 16];
    info.hash_mode = 9;
    assert_eq!(info.mode(), Err(Refusal::UnknownFlags(0x101)));
    info.flags = 1;
    assert_eq!(info.mode(), Err(Refusal::EndlessDevice));
    info.device[15] = 0;
    assert_eq!(info.mode(), Err(Refusal::UnknownMode(9)));
    info.hash_mode = 3;
    assert_eq!(info.mode(), Ok(Mode::DestIp));
}

/// The original's words, where it had some (§2.1), for those who look for them in a log.
#[test]
fn sentences() {
    let cases = [
        (Refusal::UnknownMode(u32::MAX), "unknown mode 4294967295"),
        (Refusal::TooManyLocalNodes(17), "bad num_local_nodes 17"),
        (
            Refusal::BadLocalNode {
                index: 3,
                value: 65,
            },
            "bad local_nodes[3] 65",
        ),
        (Refusal::BadTotal(65), "bad num_total_nodes 65 (1 to 64)"),
        (
            Refusal::BadTotalOfMany(1025),
            "bad num_total_nodes 1025 (1 to 1024)",
        ),
        (
            Refusal::UnknownFlags(0x8000_0005),
            "unknown flags 0x80000005",
        ),
        (Refusal::EndlessDevice, "bad device name"),
        (
            Refusal::LocalAboveTotal { node: 3, total: 2 },
            "local node 3 is above num_total_nodes 2",
        ),
    ];
    // What helps, and only what does: no two faults have the same remedy.
    let mut remedies = std::collections::BTreeSet::new();
    for (refusal, sentence) in cases {
        assert_eq!(refusal.to_string(), sentence);
        assert!(!refusal.remedy().is_empty());
        assert!(remedies.insert(refusal.remedy()), "{sentence}");
        // A refusal that is new has to come in here, too.
        match refusal {
            Refusal::UnknownMode(_)
            | Refusal::TooManyLocalNodes(_)
            | Refusal::BadLocalNode { .. }
            | Refusal::BadTotal(_)
            | Refusal::BadTotalOfMany(_)
            | Refusal::UnknownFlags(_)
            | Refusal::EndlessDevice
            | Refusal::LocalAboveTotal { .. } => {}
        }
    }
    assert!(Refusal::BadTotal(0).remedy().ends_with("1 to 64"));
    assert!(Refusal::BadTotalOfMany(0).remedy().ends_with("1 to 1024"));
}

/// The checks read again, by offsets and without the module's types.
fn model(bytes: &[u8]) -> (Result<u32, String>, Result<Vec<u32>, String>) {
    let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
    let (flags, mode) = (word(0), word(12));
    let mode = match mode {
        _ if flags > 3 => Err(format!("unknown flags {flags:#x}")),
        _ if !bytes[24..40].contains(&0) => Err("bad device name".to_string()),
        0..=5 => Ok(mode),
        _ => Err(format!("unknown mode {mode}")),
    };
    let total = u16::from_ne_bytes([bytes[10], bytes[11]]);
    let is_local = |number: &u32| {
        let bit = number - 1;
        (word(40 + 4 * (bit / 32) as usize) >> (bit % 32)) & 1 == 1
    };
    let local: Vec<u32> = (1..=1024).filter(is_local).collect();
    let nodes = match local.last() {
        _ if !(1..=1024).contains(&total) => {
            Err(format!("bad num_total_nodes {total} (1 to 1024)"))
        }
        Some(&node) if node > total.into() => Err(format!(
            "local node {node} is above num_total_nodes {total}"
        )),
        _ => Ok(local),
    };
    (mode, nodes)
}

/// Bytes of a payload: whole ones, and such that are good but for a few.
fn any_payload() -> impl Strategy<Value = Vec<u8>> {
    let whole = prop::collection::vec(any::<u8>(), 168);
    let fields = (
        0..5u32,
        prop_oneof![4 => 0..1030u16, 1 => any::<u16>()],
        0..7u32,
        any::<[u8; 16]>(),
    );
    let numbers = prop::collection::vec(1..=1024u32, 0..5);
    let near = (fields, numbers).prop_map(|((flags, total, mode, device), numbers)| {
        let info = TargetInfo1 {
            flags,
            num_total_nodes: total,
            hash_mode: mode,
            device,
            local_nodes: set(&numbers).to_words(),
            ..rule()
        };
        info.as_bytes().to_vec()
    });
    prop_oneof![1 => whole, 5 => near]
}

proptest! {
    #![proptest_config(crate::config(20_000))]

    #[test]
    fn agrees_with_the_model(bytes in any_payload()) {
        let info = TargetInfo1::read_from_bytes(&bytes).unwrap();
        let (mode, nodes) = model(&bytes);
        let ours = info.mode().map(Mode::to_abi).map_err(|refusal| refusal.to_string());
        prop_assert_eq!(ours, mode);
        let ours = info.nodes().map_err(|refusal| refusal.to_string());
        let ours = ours.map(|(_, local)| local.iter().map(NodeId::get).collect::<Vec<_>>());
        prop_assert_eq!(ours, nodes);
        prop_assert_eq!(info.is_new(), bytes[usize::from(cfg!(target_endian = "big")) * 3] & 1 == 1);
        prop_assert_eq!(info.marks(), info.flags & 2 == 0);
        prop_assert_eq!(info.as_bytes(), bytes);
    }
}
