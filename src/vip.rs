// SPDX-License-Identifier: GPL-2.0-only

//! One VIP: all that there is of it, looked at without a lock.

#![forbid(unsafe_code)]

use crate::abstractions::atomic::read_once;
use crate::abstractions::net::netdev::Name;
use crate::abstractions::net::netdev::NetDevice;
use crate::cluster::arp::Mac;
use crate::cluster::hash::Params;
use crate::cluster::hash::Prepared;
use crate::cluster::node::NodeId;
use crate::cluster::node::NodeSet;
use core::net::Ipv4Addr;
use kernel::sync::atomic::ordering::Full;
use kernel::sync::atomic::ordering::Relaxed;
use kernel::sync::atomic::Atomic;

/// What packets, ARP, devices and the file's readers and writers look at.
pub(crate) struct Vip {
    /// The nodes that this machine answers for.
    pub(crate) nodes: Nodes,
    /// How packets fall to nodes.
    pub(crate) hash: Prepared,
    /// The address.
    pub(crate) address: Ipv4Addr,
    /// The MAC that all nodes share.
    pub(crate) mac: Mac,
    /// The name that the VIP follows: it is on whichever device has it.
    pub(crate) device: Name,
    /// Changed under the lock of the namespace's [`Vips`](crate::devices::Vips).
    ifindex: Atomic<i32>,
    /// Changed under the lock of the [`Namespace`](crate::registry::Namespace).
    rules: Atomic<u32>,
    /// As `rules`.
    told: Atomic<bool>,
}

// With what an `RcuArc` adds, 24 bytes, an object of kmalloc-96.
#[cfg(CONFIG_64BIT)]
const _: () = assert!(size_of::<Vip>() <= 72);

impl Vip {
    /// A VIP of one rule, which is on no device yet.
    pub(crate) fn new(
        address: Ipv4Addr,
        mac: Mac,
        params: Params,
        nodes: NodeSet,
        device: Name,
    ) -> Self {
        Self {
            nodes: Nodes(Atomic::new(nodes.bits())),
            hash: params.prepare(),
            address,
            mac,
            device,
            ifindex: Atomic::new(NO_DEVICE),
            rules: Atomic::new(1),
            told: Atomic::new(false),
        }
    }

    /// The number of the device that the VIP is on, if there is a device of its name.
    pub(crate) fn ifindex(&self) -> Option<i32> {
        match self.ifindex.load(Relaxed) {
            NO_DEVICE => None,
            ifindex => Some(ifindex),
        }
    }

    /// Puts the VIP on a device, or on none.
    pub(crate) fn bind(&self, device: Option<&NetDevice>) {
        let ifindex = device.map_or(NO_DEVICE, NetDevice::ifindex);
        self.ifindex.store(ifindex, Relaxed);
    }

    /// How many rules there are, in all tables.
    pub(crate) fn rules(&self) -> u32 {
        self.rules.load(Relaxed)
    }

    /// Says how many rules there are.
    pub(crate) fn set_rules(&self, rules: u32) {
        self.rules.store(rules, Relaxed);
    }

    /// Whether somebody was told that another rule's parameters are not in force.
    pub(crate) fn told(&self) -> bool {
        self.told.load(Relaxed)
    }

    /// Says whether somebody was told.
    pub(crate) fn set_told(&self, told: bool) {
        self.told.store(told, Relaxed);
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
