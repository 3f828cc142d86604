// SPDX-License-Identifier: GPL-2.0-only

//! The payload of revision 0: its bytes (§1.1), and which payloads are refused for what (§2.1).

use std::collections::BTreeSet;
use std::mem::{align_of, offset_of, size_of};

use host::cluster::abi::{Payload, Refusal, TargetInfo, FLAG_NEW, MAX_LOCAL_NODES, NAME};
use host::cluster::arp::Mac;
use host::cluster::hash::Mode;
use host::cluster::node::{NodeId, NodeSet};
use proptest::prelude::*;
use zerocopy::{FromBytes, IntoBytes};

/// `--new --total-nodes 3 --local-node 2 --hashmode sourceip-sourceport`, as iptables sends it.
fn rule() -> TargetInfo {
    let mut info = TargetInfo::read_from_bytes(&[0; 56]).unwrap();
    info.flags = FLAG_NEW;
    info.clustermac = [0x01, 0x00, 0x5e, 0x00, 0x01, 0x14];
    info.num_total_nodes = 3;
    info.num_local_nodes = 1;
    info.local_nodes[0] = 2;
    info.hash_mode = 1;
    info
}

fn with_local(total: u16, local: &[u16]) -> TargetInfo {
    let mut info = rule();
    info.num_total_nodes = total;
    info.num_local_nodes = local.len().try_into().unwrap();
    info.local_nodes = [0; MAX_LOCAL_NODES];
    info.local_nodes[..local.len()].copy_from_slice(local);
    info
}

fn numbers(set: &NodeSet) -> BTreeSet<u16> {
    let numbers = set.iter().map(NodeId::get);
    numbers.map(|number| number.try_into().unwrap()).collect()
}

#[test]
fn layout() {
    assert_eq!(size_of::<TargetInfo>(), 56);
    assert_eq!(align_of::<TargetInfo>(), 4);
    assert_eq!(offset_of!(TargetInfo, flags), 0);
    assert_eq!(offset_of!(TargetInfo, clustermac), 4);
    assert_eq!(offset_of!(TargetInfo, num_total_nodes), 10);
    assert_eq!(offset_of!(TargetInfo, num_local_nodes), 12);
    assert_eq!(offset_of!(TargetInfo, local_nodes), 14);
    assert_eq!(offset_of!(TargetInfo, padding), 46);
    assert_eq!(offset_of!(TargetInfo, hash_mode), 48);
    assert_eq!(offset_of!(TargetInfo, hash_initval), 52);
    assert_eq!(NAME, c"CLUSTERIP");
    assert_eq!(TargetInfo::REVISION, 0);
}

/// As `include/clusterip.h` has it, by a C compiler. The padding has no name there.
#[test]
fn layout_in_c() {
    let ours = [
        (offset_of!(TargetInfo, flags), 4),
        (offset_of!(TargetInfo, clustermac), 6),
        (offset_of!(TargetInfo, num_total_nodes), 2),
        (offset_of!(TargetInfo, num_local_nodes), 2),
        (offset_of!(TargetInfo, local_nodes), 32),
        (offset_of!(TargetInfo, hash_mode), 4),
        (offset_of!(TargetInfo, hash_initval), 4),
        (size_of::<TargetInfo>(), 8),
        (0, 64),
    ];
    assert_eq!(header::revision_0(), ours);
    assert_eq!(header::flags()[0], FLAG_NEW);
}

/// What revision 0 can't say is what it always meant.
#[test]
fn what_a_rule_does_not_say() {
    for flags in [0, 1, 2, 3, u32::MAX] {
        let info = TargetInfo { flags, ..rule() };
        assert!(info.marks(), "{flags:#x}");
        assert_eq!((info.vip(), info.device()), (None, None));
    }
    assert_eq!(rule().mac(), Mac::new([0x01, 0x00, 0x5e, 0x00, 0x01, 0x14]));
    let info = TargetInfo {
        hash_initval: 0x1234_5678,
        ..rule()
    };
    assert_eq!(info.seed(), 0x1234_5678);
}

#[test]
fn bytes_of_a_rule() {
    let mut bytes = [0; 56];
    bytes[..4].copy_from_slice(&1u32.to_ne_bytes());
    bytes[4..10].copy_from_slice(&[0x01, 0x00, 0x5e, 0x00, 0x01, 0x14]);
    bytes[10..12].copy_from_slice(&3u16.to_ne_bytes());
    bytes[12..14].copy_from_slice(&1u16.to_ne_bytes());
    bytes[14..16].copy_from_slice(&2u16.to_ne_bytes());
    bytes[48..52].copy_from_slice(&1u32.to_ne_bytes());
    assert_eq!(rule().as_bytes(), bytes);
    assert_eq!(TargetInfo::read_from_bytes(&bytes), Ok(rule()));
}

/// §1.1: only the lowest bit means something.
#[test]
fn new_is_one_bit() {
    for (flags, new) in [
        (0, false),
        (1, true),
        (2, false),
        (3, true),
        (u32::MAX, true),
    ] {
        assert_eq!(TargetInfo { flags, ..rule() }.is_new(), new, "{flags:#x}");
    }
}

#[test]
fn modes() {
    let mode = |hash_mode| {
        TargetInfo {
            hash_mode,
            ..rule()
        }
        .mode()
    };
    assert_eq!(mode(0), Ok(Mode::SourceIp));
    assert_eq!(mode(1), Ok(Mode::SourceIpSourcePort));
    assert_eq!(mode(2), Ok(Mode::SourceIpSourcePortDestPort));
    // 3 to 5 are modes of revision 1.
    for number in [3, 4, 5, 6, u32::MAX] {
        assert_eq!(mode(number), Err(Refusal::UnknownMode(number)));
    }
}

#[test]
fn good_node_sets() {
    let sixteen: Vec<u16> = (1..=16).collect();
    let cases: [(u16, &[u16], &[u16]); 7] = [
        (3, &[2], &[2]),
        (16, &[16, 1, 3], &[1, 3, 16]),
        (16, &sixteen, &sixteen),
        (64, &[64, 33], &[33, 64]),
        // Named twice is named.
        (2, &[2, 2], &[2]),
        // The two ways to say "none": by hand, and what iptables makes of `--local-node 0`.
        (3, &[], &[]),
        (3, &[0], &[]),
    ];
    for (total, local, wanted) in cases {
        let (nodes, set) = with_local(total, local).nodes().unwrap();
        assert_eq!(nodes.get(), u32::from(total));
        assert!(numbers(&set).iter().eq(wanted), "{local:?}");
    }
}

/// What is behind the count does not count.
#[test]
fn unused_entries_are_not_looked_at() {
    let mut info = with_local(3, &[2]);
    info.local_nodes[1..].fill(0xffff);
    assert_eq!(numbers(&info.nodes().unwrap().1), BTreeSet::from([2]));
}

#[test]
fn too_many_local_nodes() {
    for count in [17, 18, 64, 65_535] {
        let info = TargetInfo {
            num_local_nodes: count,
            ..rule()
        };
        assert_eq!(info.nodes(), Err(Refusal::TooManyLocalNodes(count)));
    }
}

#[test]
fn bad_local_nodes() {
    let bad = |index, value| Err(Refusal::BadLocalNode { index, value });
    assert_eq!(with_local(3, &[65]).nodes(), bad(0, 65));
    assert_eq!(with_local(3, &[1, 65_535]).nodes(), bad(1, 65_535));
    // 0 stands for "none" only when it stands alone.
    assert_eq!(with_local(3, &[0, 1]).nodes(), bad(0, 0));
    assert_eq!(with_local(3, &[1, 0]).nodes(), bad(1, 0));
    assert_eq!(with_local(3, &[0, 0]).nodes(), bad(0, 0));
    let mut last = [1; MAX_LOCAL_NODES];
    last[15] = 0;
    assert_eq!(with_local(3, &last).nodes(), bad(15, 0));
}

/// D1: 0 and 65535 were taken once.
#[test]
fn bad_totals() {
    for total in [0, 65, 66, 256, 1024, 65_535] {
        let refused = Err(Refusal::BadTotal(total));
        assert_eq!(with_local(total, &[1]).nodes(), refused);
        assert_eq!(with_local(total, &[]).nodes(), refused);
    }
}

/// D10: the first one in the payload is named.
#[test]
fn local_above_total() {
    let above = |node, total| Err(Refusal::LocalAboveTotal { node, total });
    assert_eq!(with_local(2, &[3]).nodes(), above(3, 2));
    assert_eq!(with_local(2, &[1, 64, 3]).nodes(), above(64, 2));
    assert!(with_local(3, &[3]).nodes().is_ok());
}

/// Of several faults the earliest of §2.1 is told: mended one by one, they come in order.
#[test]
fn order_of_the_checks() {
    let mut info = rule();
    info.num_local_nodes = 17;
    info.num_total_nodes = 0;
    info.local_nodes = [9; MAX_LOCAL_NODES];
    info.local_nodes[1] = 65;
    assert_eq!(info.nodes(), Err(Refusal::TooManyLocalNodes(17)));
    info.num_local_nodes = 16;
    let refusal = Refusal::BadLocalNode {
        index: 1,
        value: 65,
    };
    assert_eq!(info.nodes(), Err(refusal));
    info.local_nodes[1] = 9;
    assert_eq!(info.nodes(), Err(Refusal::BadTotal(0)));
    info.num_total_nodes = 8;
    let refusal = Refusal::LocalAboveTotal { node: 9, total: 8 };
    assert_eq!(info.nodes(), Err(refusal));
    info.num_total_nodes = 9;
    assert!(info.nodes().is_ok());
}

/// §2.1 read again, without the module's types.
fn model(total: u16, count: u16, local: &[u16]) -> Result<BTreeSet<u16>, &'static str> {
    if count > 16 {
        return Err("count");
    }
    let mut named = &local[..count.into()];
    if named == [0] {
        named = &[];
    }
    if named.iter().any(|&node| node == 0 || node > 64) {
        return Err("local");
    }
    if total == 0 || total > 64 {
        return Err("total");
    }
    if named.iter().any(|&node| node > total) {
        return Err("above");
    }
    Ok(named.iter().copied().collect())
}

/// Mostly small numbers, so that good payloads and each of the faults come up often.
fn number() -> impl Strategy<Value = u16> {
    prop_oneof![10 => 1..=64u16, 1 => 0..=70u16, 1 => any::<u16>()]
}

proptest! {
    #![proptest_config(crate::config(20_000))]

    #[test]
    fn agrees_with_the_model(
        total in number(),
        count in prop_oneof![10 => 0..=3u16, 5 => 0..=18u16, 1 => any::<u16>()],
        local in prop::array::uniform16(number()),
    ) {
        let info = TargetInfo {
            num_total_nodes: total,
            num_local_nodes: count,
            local_nodes: local,
            ..rule()
        };
        let ours = info.nodes().map(|(_, set)| numbers(&set)).map_err(|refusal| match refusal {
            Refusal::TooManyLocalNodes(_) => "count",
            Refusal::BadLocalNode { .. } => "local",
            Refusal::BadTotal(_) => "total",
            Refusal::LocalAboveTotal { .. } => "above",
            _ => "a refusal of revision 1",
        });
        prop_assert_eq!(ours, model(total, count, &local));
    }

    /// Whatever userspace sends: an answer, and a set within its total when it is yes.
    #[test]
    fn any_bytes_at_all(bytes in prop::collection::vec(any::<u8>(), 56)) {
        let info = TargetInfo::read_from_bytes(&bytes).unwrap();
        prop_assert_eq!(info.mode().is_ok(), info.hash_mode <= 2);
        if let Ok((total, set)) = info.nodes() {
            prop_assert!(set.iter().all(|node| total.contains(node)));
        }
        prop_assert_eq!(info.as_bytes(), bytes);
    }
}

/// The types hold what the checks let through.
#[test]
fn a_good_rule() {
    let (total, set) = rule().nodes().unwrap();
    assert_eq!(total.get(), 3);
    assert_eq!(set, NodeSet::EMPTY.with(NodeId::new(2).unwrap()));
    assert_eq!(rule().mode(), Ok(Mode::SourceIpSourcePort));
}
