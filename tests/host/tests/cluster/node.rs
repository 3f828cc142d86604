// SPDX-License-Identifier: GPL-2.0-only

//! Node numbers, and sets of them against the standard library's.

use std::collections::BTreeSet;

use host::cluster::node::{NodeId, NodeSet, Total, MAX_NODES};
use proptest::prelude::*;

fn node(number: u32) -> NodeId {
    NodeId::new(number).unwrap()
}

fn set(numbers: &[u32]) -> NodeSet {
    let add = |set: NodeSet, &number: &u32| set.with(node(number));
    numbers.iter().fold(NodeSet::EMPTY, add)
}

/// D1, D10: no number outside 1 to 64 ever becomes a node or a total.
#[test]
fn numbers_are_checked_where_they_enter() {
    assert_eq!(MAX_NODES, 64);
    for number in 1..=64 {
        assert_eq!(NodeId::new(number).map(NodeId::get), Some(number));
        assert_eq!(Total::new(number).map(Total::get), Some(number));
    }
    // 65537 and 65538 are what the original took for 1 and 2 (D2).
    for number in [0, 65, 66, 255, 256, 65_535, 65_537, 65_538, u32::MAX] {
        assert_eq!(NodeId::new(number), None, "{number}");
        assert_eq!(Total::new(number), None, "{number}");
    }
}

#[test]
fn a_total_contains_the_nodes_up_to_it() {
    for count in 1..=MAX_NODES {
        let total = Total::new(count).unwrap();
        for number in 1..=MAX_NODES {
            assert_eq!(total.contains(node(number)), number <= count);
        }
    }
}

#[test]
fn one_bit_for_each_node() {
    for number in 1..=MAX_NODES {
        assert_eq!(NodeSet::mask(node(number)), 1 << (number - 1));
    }
}

/// §6.1: this is the text that strongSwan and IPaddr2 read. D4: nodes above 32 show too.
#[test]
fn text_of_a_set() {
    let cases: [(&[u32], &str); 7] = [
        (&[], ""),
        (&[1], "1"),
        (&[16, 1, 3], "1,3,16"),
        (&[3, 3], "3"),
        (&[32, 33], "32,33"),
        (&[64], "64"),
        (&[64, 1], "1,64"),
    ];
    for (numbers, text) in cases {
        assert_eq!(set(numbers).to_string(), text);
    }

    let sixteen: Vec<u32> = (1..=16).collect();
    // §6.1 counts 39 bytes, the newline of the file included.
    assert_eq!(set(&sixteen).to_string().len(), 38);
    let full = NodeSet::from_bits(u64::MAX).to_string();
    assert_eq!(full.len(), NodeSet::MAX_TEXT_LEN);
    assert!(full.starts_with("1,2,") && full.ends_with(",63,64"));
}

#[test]
fn numbers_print_as_numbers() {
    assert_eq!(node(7).to_string(), "7");
    assert_eq!(Total::new(64).unwrap().to_string(), "64");
}

proptest! {
    #![proptest_config(crate::config(2_000))]

    #[test]
    fn behaves_like_a_set(steps in prop::collection::vec((any::<bool>(), 1..=MAX_NODES), 0..100)) {
        let mut ours = NodeSet::EMPTY;
        let mut model = BTreeSet::new();
        for (add, number) in steps {
            if add {
                ours = ours.with(node(number));
                model.insert(number);
            } else {
                ours = ours.without(node(number));
                model.remove(&number);
            }
            prop_assert_eq!(ours.is_empty(), model.is_empty());
            for number in 1..=MAX_NODES {
                prop_assert_eq!(ours.contains(node(number)), model.contains(&number));
            }
        }

        let listed: Vec<u32> = ours.iter().map(NodeId::get).collect();
        let expected: Vec<u32> = model.into_iter().collect();
        prop_assert_eq!(&listed, &expected);
        let text: Vec<String> = expected.iter().map(u32::to_string).collect();
        prop_assert_eq!(ours.to_string(), text.join(","));
        prop_assert_eq!(NodeSet::from_bits(ours.bits()), ours);
        prop_assert_eq!(set(&listed), ours);
    }

    /// No bits are bad bits: whatever the atomic cell holds is a set.
    #[test]
    fn any_bits_are_a_set(bits: u64) {
        let set = NodeSet::from_bits(bits);
        let back = set.into_iter().fold(0, |bits, node| bits | NodeSet::mask(node));
        prop_assert_eq!(back, bits);
        prop_assert_eq!(set.iter().count() as u32, bits.count_ones());
    }
}
