// SPDX-License-Identifier: GPL-2.0-only

//! One VIP: the part of it that is looked at without a lock.

#![forbid(unsafe_code)]

use crate::abstractions::atomic::read_once;
use crate::abstractions::net::netdev::Membership;
use crate::cluster::arp::Mac;
use crate::cluster::hash::Params;
use crate::cluster::hash::Prepared;
use crate::cluster::node::NodeId;
use crate::cluster::node::NodeSet;
use core::net::Ipv4Addr;
use kernel::sync::atomic::ordering::Full;
use kernel::sync::atomic::ordering::Relaxed;
use kernel::sync::atomic::Atomic;

/// What packets, ARP and the file's readers and writers look at, without a lock.
pub(crate) struct Vip {
    /// The address.
    pub(crate) address: Ipv4Addr,
    /// The MAC that all nodes share.
    pub(crate) mac: Mac,
    /// How packets fall to nodes.
    pub(crate) params: Params,
    /// The same, as packets look at it.
    pub(crate) hash: Prepared,
    /// The nodes that this machine answers for.
    pub(crate) nodes: Nodes,
    ifindex: Atomic<i32>,
}

impl Vip {
    /// A VIP that is on no device yet.
    pub(crate) fn new(address: Ipv4Addr, mac: Mac, params: Params, nodes: NodeSet) -> Self {
        Self {
            address,
            mac,
            params,
            hash: params.prepare(),
            nodes: Nodes(Atomic::new(nodes.bits())),
            ifindex: Atomic::new(NO_DEVICE),
        }
    }

    /// The number of the device that the VIP is on, if there is a device of its name.
    pub(crate) fn ifindex(&self) -> Option<i32> {
        match self.ifindex.load(Relaxed) {
            NO_DEVICE => None,
            ifindex => Some(ifindex),
        }
    }

    /// Puts the VIP on the device of a membership, or on none.
    pub(crate) fn bind(&self, membership: Option<&Membership>) {
        let ifindex = membership.map_or(NO_DEVICE, Membership::ifindex);
        self.ifindex.store(ifindex, Relaxed);
    }
}

/// No device has this number.
const NO_DEVICE: i32 = 0;

/// A [`NodeSet`] that changes one node at a time, under the eyes of the packet path.
pub(crate) struct Nodes(Atomic<u64>);

impl Nodes {
    /// The set as it is now.
    #[inline]
    pub(crate) fn get(&self) -> NodeSet {
        NodeSet::from_bits(read_once(&self.0))
    }

    /// Adds a node. `false` when it was there.
    pub(crate) fn add(&self, node: NodeId) -> bool {
        self.change(|set| (!set.contains(node)).then(|| set.with(node)))
    }

    /// Takes a node away. `false` when it was not there.
    pub(crate) fn remove(&self, node: NodeId) -> bool {
        self.change(|set| set.contains(node).then(|| set.without(node)))
    }

    fn change(&self, change: impl Fn(NodeSet) -> Option<NodeSet>) -> bool {
        let mut seen = self.0.load(Relaxed);
        while let Some(set) = change(NodeSet::from_bits(seen)) {
            match self.0.cmpxchg(seen, set.bits(), Full) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }
}
