// SPDX-License-Identifier: GPL-2.0-only

//! The VIPs of each network namespace: made with a VIP's first rule, gone with its last.
//!
//! A namespace has one lock for what rules bring about and for its own end, which are thus in one
//! order (D7, D8, D9). Packets, ARP and the reading and writing of files take no lock: they look at
//! a [`Vip`] as it is. Removing a file waits for those who read or write it, under the lock; so they
//! never take it.

#![forbid(unsafe_code)]

use crate::abstractions::net::pernet::PerNet;
use crate::abstractions::net::pernet::Slot as NamespaceSlot;
use crate::abstractions::net::ratelimit;
use crate::abstractions::net::Net;
use crate::abstractions::netfilter::hook::Hook;
use crate::abstractions::proc_file;
use crate::abstractions::rcu::RcuArc;
use crate::abstractions::rcu::RcuMap;
use crate::arp;
use crate::devices::Devices;
use crate::procfs;
use crate::request::Request;
use crate::vip::Vip;
use core::net::Ipv4Addr;
use kernel::fmt::Write;
use kernel::new_mutex;
use kernel::prelude::*;
use kernel::rbtree::RBTree;
use kernel::rbtree::RBTreeNodeReservation;
use kernel::str::Formatter;
use kernel::sync::rcu;
use kernel::sync::Mutex;

/// A VIP, its rules and its file.
struct Entry {
    vip: RcuArc<Vip>,
    /// How many rules there are, in all tables.
    rules: usize,
    /// Gone before the VIP is when the namespace ends before its rules do.
    file: Option<proc_file::Registration<Vip>>,
    /// Whether somebody was told that another rule's parameters are not in force.
    told: bool,
}

/// What the lock guards.
struct State {
    entries: RBTree<u32, Entry>,
    /// There is one while there are VIPs.
    hook: Option<Hook<Namespace>>,
    /// Gone when the namespace has ended.
    dir: Option<proc_file::Dir>,
}

/// The VIPs of a network namespace.
#[pin_data]
pub(crate) struct Namespace {
    /// What ARP finds.
    #[pin]
    vips: RcuMap<Vip>,
    /// Where the VIPs are. Its lock is taken under `state`'s, never the other way round.
    #[pin]
    pub(crate) devices: Devices,
    #[pin]
    state: Mutex<State>,
}

static SLOT: NamespaceSlot<Namespace> = NamespaceSlot::new();

impl PerNet for Namespace {
    fn slot() -> &'static NamespaceSlot<Self> {
        &SLOT
    }

    fn new(net: &Net) -> Result<RcuArc<Self>> {
        Self::make(net).inspect_err(|_| {
            if ratelimit() {
                pr_err!("Unable to proc dir entry: free memory and make the namespace again\n");
            }
        })
    }

    /// Rules may outlive this by a moment, when their table was there before us: they find their
    /// files and the hook gone.
    fn exit(&self, net: &Net) {
        let mut state = self.state.lock();
        for entry in state.entries.values_mut() {
            entry.file = None;
        }
        state.dir = None;
        state.end_hook(net);
    }
}

impl Namespace {
    fn make(net: &Net) -> Result<RcuArc<Self>> {
        let dir = proc_file::Dir::new(net, procfs::DIRECTORY)?;
        RcuArc::pin_init(
            try_pin_init!(Self {
                vips <- RcuMap::new(),
                devices <- Devices::new(),
                state <- new_mutex!(State {
                    entries: RBTree::new(),
                    hook: None,
                    dir: Some(dir),
                }),
            }? Error),
            GFP_KERNEL,
        )
    }

    /// The VIP of this address, for as long as the read-side section lasts.
    pub(crate) fn find<'a>(&'a self, vip: Ipv4Addr, guard: &'a rcu::Guard) -> Option<&'a Vip> {
        self.vips.get(u32::from(vip), guard)
    }

    /// Counts a rule in, and makes its VIP if it is the first.
    pub(crate) fn join(this: &RcuArc<Self>, net: &Net, request: &Request) -> Result<RcuArc<Vip>> {
        let mut state = this.state.lock();
        match state.entries.get_mut(&u32::from(request.vip)) {
            Some(entry) => this.share(net, entry, request),
            None => Self::create(this, net, &mut state, request),
        }
    }

    /// Counts a rule out, and undoes its VIP if it was the last.
    pub(crate) fn leave(&self, net: &Net, vip: Ipv4Addr) {
        let key = u32::from(vip);
        let mut state = self.state.lock();
        let Some(entry) = state.entries.get_mut(&key) else {
            return;
        };
        entry.rules = entry.rules.saturating_sub(1);
        if entry.rules == 0 {
            if let Some(entry) = state.entries.remove(&key) {
                self.undo(net, &mut state, entry);
            }
        }
    }

    /// Counts one more rule of a VIP that is there.
    fn share(&self, net: &Net, entry: &mut Entry, request: &Request) -> Result<RcuArc<Vip>> {
        let vip = &entry.vip;
        let rules = entry.rules.checked_add(1).ok_or(EOVERFLOW)?;
        request.joins(net, vip)?;
        if !entry.told {
            if let Some(device) = self.devices.name_for(vip.address) {
                entry.told =
                    request.differs(vip, &device) && request.tell_what_is_in_force(vip, &device);
            }
        }
        entry.rules = rules;
        Ok(vip.clone())
    }

    /// Makes a VIP of its first rule. All or nothing: what fails takes back what went before it.
    fn create(
        this: &RcuArc<Self>,
        net: &Net,
        state: &mut State,
        request: &Request,
    ) -> Result<RcuArc<Vip>> {
        let node = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)
            .map_err(|error| request.cannot_make(error))?;
        let vip = this.devices.make(net, request)?;
        let mut entry = Entry {
            vip: vip.clone(),
            rules: 1,
            file: None,
            told: false,
        };
        if let Err(error) = Self::publish(this, net, state, &mut entry) {
            this.undo(net, state, entry);
            return Err(request.cannot_make(error));
        }
        state
            .entries
            .insert(node.into_node(u32::from(request.vip), entry));
        Ok(vip)
    }

    /// Gives a new VIP its file and lets ARP find it.
    fn publish(this: &RcuArc<Self>, net: &Net, state: &mut State, entry: &mut Entry) -> Result {
        let vip = &entry.vip;
        // No longer than 255.255.255.255 and the end.
        let mut name = [0; 16];
        // The debug form of an address is its dotted quad.
        Formatter::new(&mut name).write_fmt(fmt!("{:?}", vip.address))?;
        let name = CStr::from_bytes_until_nul(&name).map_err(|_| EINVAL)?;
        let dir = state.dir.as_mut().ok_or(ENOENT)?;
        entry.file = Some(dir.create(net, name, procfs::MODE, vip.clone())?);
        if state.hook.is_none() {
            state.hook = Some(Hook::register(
                net,
                arp::FAMILY,
                arp::PRIORITY,
                this.clone(),
                GFP_KERNEL_ACCOUNT,
            )?);
        }
        this.vips.insert(u32::from(vip.address), vip.clone())
    }

    /// Takes back all that a VIP was given. ARP may still see it for a grace period, in which it
    /// stays.
    fn undo(&self, net: &Net, state: &mut State, entry: Entry) {
        drop(self.vips.remove(u32::from(entry.vip.address)));
        drop(entry.file);
        self.devices.forget(net, entry.vip.address);
        if state.entries.is_empty() {
            state.end_hook(net);
        }
    }
}

impl State {
    fn end_hook(&mut self, net: &Net) {
        if let Some(hook) = self.hook.take() {
            hook.unregister(net);
        }
    }
}
