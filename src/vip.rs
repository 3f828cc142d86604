// SPDX-License-Identifier: GPL-2.0-only

//! One VIP: all that there is of it, looked at without a lock.

#![forbid(unsafe_code)]

use crate::abstractions::net::netdev::Name;
use crate::abstractions::net::netdev::NetDevice;
use crate::abstractions::spread::Place;
use crate::abstractions::spread::Spread;
use crate::cluster::arp::Mac;
use crate::cluster::hash::Params;
use crate::cluster::hash::Prepared;
use crate::cluster::node::NodeId;
use crate::cluster::node::NodeSet;
use crate::request::NewVip;
use core::net::Ipv4Addr;
use core::num::NonZero;
use kernel::prelude::*;
use kernel::sync::atomic::ordering::Relaxed;
use kernel::sync::atomic::Atomic;

/// What packets, ARP, devices and the file's readers and writers look at.
#[pin_data]
pub(crate) struct Vip {
    /// The nodes of the cluster: which of them this machine answers for, and what was counted of each.
    #[pin]
    nodes: Spread,
    /// How packets fall to nodes.
    pub(crate) hash: Prepared,
    /// The address.
    pub(crate) address: Ipv4Addr,
    /// The MAC that all nodes share.
    pub(crate) mac: Mac,
    /// Whether new connections are marked with their node.
    pub(crate) marks: bool,
    /// The name that the VIP follows: it is on whichever device has it.
    pub(crate) device: Name,
    /// Changed under the lock of the namespace's [`Vips`](crate::devices::Vips).
    ifindex: Atomic<i32>,
    /// Changed under the lock of the [`Namespace`](crate::registry::Namespace).
    rules: Atomic<u32>,
    /// As `rules`.
    told: Atomic<bool>,
}

// With what an `RcuArc` adds, 24 bytes, an object of kmalloc-128.
#[cfg(CONFIG_64BIT)]
const _: () = assert!(size_of::<Vip>() <= 104);

impl Vip {
    /// A VIP of one rule, which is on no device yet.
    pub(crate) fn new(address: Ipv4Addr, new: &NewVip, device: Name) -> impl PinInit<Self, Error> {
        let NewVip {
            mac,
            params,
            nodes,
            marks,
        } = *new;
        let is_mine = move |index| node_at(index).is_some_and(|node| nodes.contains(node));
        try_pin_init!(Self {
            nodes <- Spread::new(count(params), is_mine),
            hash: params.prepare(),
            address,
            mac,
            marks,
            device,
            ifindex: Atomic::new(NO_DEVICE),
            rules: Atomic::new(1),
            told: Atomic::new(false),
        }? Error)
    }

    /// Where a packet of this hash falls.
    #[inline(always)]
    pub(crate) fn place(&self, hash: u32) -> Place<'_> {
        self.nodes.place(hash)
    }

    /// What was counted of each node.
    pub(crate) fn counted(&self) -> impl Iterator<Item = Counted> + '_ {
        (0..self.nodes.len()).filter_map(|index| {
            let place = self.nodes.at(index)?;
            let (accepted, left) = place.met();
            Some(Counted {
                node: node_at(index)?,
                accepted,
                left,
            })
        })
    }

    /// Counts an ARP message that was made to say the cluster's MAC.
    pub(crate) fn count_arp(&self) {
        self.nodes.count_other();
    }

    /// How many there were.
    pub(crate) fn arp(&self) -> u64 {
        self.nodes.other()
    }

    /// How often the set of nodes was another one, from 1.
    pub(crate) fn generation(&self) -> u32 {
        self.nodes.generation()
    }

    /// The nodes that this machine answers for.
    pub(crate) fn mine(&self) -> NodeSet {
        (0..self.nodes.len())
            .filter_map(|index| self.nodes.at(index))
            .filter(Place::is_on)
            .filter_map(|place| node_at(place.index()))
            .collect()
    }

    /// Adds a node, or takes one away. `false` when nothing would change, or the cluster has none of this number.
    /// The caller holds the lock of the namespace's sets.
    pub(crate) fn turn(&self, number: u32, on: bool) -> bool {
        let place = number
            .checked_sub(1)
            .and_then(|index| self.nodes.at(index))
            .filter(|place| place.is_on() != on);
        if let Some(place) = place {
            place.turn(on);
        }
        place.is_some()
    }

    /// Makes these nodes the ones that this machine answers for, all at once. `false` when the cluster has not all
    /// of them. The caller holds the lock of the namespace's sets.
    pub(crate) fn replace(&self, nodes: &NodeSet) -> bool {
        let total = self.hash.params().total;
        let fits = nodes.highest().is_none_or(|node| total.contains(node));
        if fits && self.mine() != *nodes {
            self.nodes
                .replace(|index| node_at(index).is_some_and(|node| nodes.contains(node)));
        }
        fits
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

/// What was counted of a node.
pub(crate) struct Counted {
    /// The node.
    pub(crate) node: NodeId,
    /// Packets that were taken, when it was.
    pub(crate) accepted: u64,
    /// Packets that were left to others, when it was not.
    pub(crate) left: u64,
}

/// The node at a place.
fn node_at(index: u32) -> Option<NodeId> {
    NodeId::new(index.checked_add(1)?)
}

/// How many nodes there are: never none.
fn count(params: Params) -> NonZero<u32> {
    NonZero::new(params.total.get()).unwrap_or(NonZero::<u32>::MIN)
}
