// SPDX-License-Identifier: GPL-2.0-only

//! The set of nodes, under several writers and a reader, in all orders.

use super::check;
use crate::cluster::hash::Mode;
use crate::cluster::hash::Params;
use crate::cluster::node::NodeId;
use crate::cluster::node::NodeSet;
use crate::cluster::node::Total;
use crate::vip::Vip;
use loom::thread;
use std::sync::Arc;

fn node(number: u32) -> NodeId {
    NodeId::new(number).expect("a node")
}

fn set(nodes: &[u32]) -> NodeSet {
    nodes
        .iter()
        .fold(NodeSet::EMPTY, |set, number| set.with(node(*number)))
}

fn vip(nodes: &[u32]) -> Arc<Vip> {
    let params = Params {
        mode: Mode::SourceIp,
        seed: 0,
        total: Total::new(4).expect("a total"),
    };
    let mac = crate::cluster::arp::Mac::new([1, 0, 0x5e, 0, 0, 1]);
    Arc::new(Vip::new(
        [10, 9, 0, 1].into(),
        mac,
        params,
        set(nodes),
        "eth0",
    ))
}

/// Runs something on a VIP in a thread of its own.
fn hand<T: 'static>(
    vip: &Arc<Vip>,
    action: impl FnOnce(&Vip) -> T + 'static,
) -> thread::JoinHandle<T> {
    let vip = vip.clone();
    thread::spawn(move || action(&vip))
}

#[test]
fn changes_of_different_nodes_are_all_kept() {
    check(None, || {
        let vip = vip(&[1]);
        let add = hand(&vip, |vip| vip.nodes.add(node(2)));
        let remove = hand(&vip, |vip| vip.nodes.remove(node(1)));
        assert!(vip.nodes.add(node(3)));
        assert!(add.join().unwrap() && remove.join().unwrap());
        assert_eq!(vip.nodes.get(), set(&[2, 3]));
    });
}

#[test]
fn one_of_two_adds_the_node() {
    check(None, || {
        let vip = vip(&[]);
        let hands = [1, 2].map(|_| hand(&vip, |vip| vip.nodes.add(node(2))));
        let added = hands.map(|hand| hand.join().unwrap());
        assert!(added == [true, false] || added == [false, true]);
        assert_eq!(vip.nodes.get(), set(&[2]));
    });
}

#[test]
fn one_who_adds_and_one_who_removes() {
    check(None, || {
        let vip = vip(&[]);
        let adds = hand(&vip, |vip| vip.nodes.add(node(2)));
        let removes = hand(&vip, |vip| vip.nodes.remove(node(2)));
        assert!(adds.join().unwrap());
        let removed = removes.join().unwrap();
        let left = if removed { set(&[]) } else { set(&[2]) };
        assert_eq!(vip.nodes.get(), left);
    });
}

/// A packet sees a set that there was.
#[test]
fn a_reader_sees_no_set_that_never_was() {
    check(None, || {
        let vip = vip(&[1]);
        let adds = hand(&vip, |vip| {
            vip.nodes.add(node(2));
            vip.nodes.remove(node(1));
        });
        let reads = hand(&vip, |vip| [vip.nodes.get(), vip.nodes.get()]);
        let [first, second] = reads.join().unwrap();
        adds.join().unwrap();
        let order = [set(&[1]), set(&[1, 2]), set(&[2])];
        let at = |seen| order.iter().position(|set| *set == seen).expect("a set");
        assert!(at(first) <= at(second), "the sets come in their order");
    });
}
