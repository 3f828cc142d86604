// SPDX-License-Identifier: GPL-2.0-only

//! The VIPs of each network namespace: made with a VIP's first rule, gone with its last.
//!
//! A namespace has one lock for all that happens to its VIPs but packets, ARP and the reading and
//! writing of their files: those look at a [`Vip`] as it is, and take no lock. What a rule brings
//! about, device events, and the namespace's end are thus in one order (D7, D8, D9, D17).
//!
//! RTNL is taken before this lock, by device events; so nothing under it may take RTNL.

#![forbid(unsafe_code)]

use crate::abstractions::net::netdev::Event;
use crate::abstractions::net::netdev::Listener;
use crate::abstractions::net::netdev::Membership;
use crate::abstractions::net::netdev::Name;
use crate::abstractions::net::netdev::NetDevice;
use crate::abstractions::net::pernet::PerNet;
use crate::abstractions::net::pernet::Slot as NamespaceSlot;
use crate::abstractions::net::Net;
use crate::abstractions::netfilter::hook::Hook;
use crate::abstractions::proc_file;
use crate::abstractions::rcu::RcuArc;
use crate::abstractions::rcu::RcuMap;
use crate::arp;
use crate::procfs;
use crate::report::refuse;
use crate::report::tell;
use crate::request::Request;
use crate::request::Shown;
use crate::vip::Vip;
use core::net::Ipv4Addr;
use kernel::new_mutex;
use kernel::prelude::*;
use kernel::rbtree::RBTree;
use kernel::rbtree::RBTreeNodeReservation;
use kernel::str::CString;
use kernel::sync::rcu;
use kernel::sync::Mutex;

/// What only the lock's holder looks at: all that has to be undone when a VIP goes.
struct Slot {
    vip: RcuArc<Vip>,
    /// How many rules there are, in all tables.
    rules: usize,
    /// The name that the VIP follows, whichever device has it.
    device: Name,
    membership: Option<Membership>,
    /// Gone before the VIP is when the namespace ends before its rules do.
    file: Option<proc_file::Registration<Vip>>,
    /// Whether somebody was told that another rule's parameters are not in force.
    told: bool,
}

/// All the VIPs of a namespace, as far as the lock guards them.
struct State {
    slots: RBTree<u32, Slot>,
    rules: usize,
    hook: Option<Hook<Namespace>>,
    /// Gone when the namespace has ended.
    dir: Option<proc_file::Dir>,
}

/// The VIPs of a network namespace.
#[pin_data]
pub(crate) struct Namespace {
    #[pin]
    vips: RcuMap<Vip>,
    #[pin]
    state: Mutex<State>,
}

static SLOT: NamespaceSlot<Namespace> = NamespaceSlot::new();

impl PerNet for Namespace {
    fn slot() -> &'static NamespaceSlot<Self> {
        &SLOT
    }

    fn new(net: &Net) -> Result<RcuArc<Self>> {
        let dir = proc_file::Dir::new(net, procfs::DIRECTORY).inspect_err(|_| {
            pr_err!("Unable to proc dir entry\n");
        })?;
        RcuArc::pin_init(
            try_pin_init!(Self {
                vips <- RcuMap::new(),
                state <- new_mutex!(State {
                    slots: RBTree::new(),
                    rules: 0,
                    hook: None,
                    dir: Some(dir),
                }),
            }? Error),
            GFP_KERNEL,
        )
    }

    /// Rules may outlive this by a moment, when their table was there before us: they find their
    /// files and the hook gone.
    fn exit(&self, net: &Net) {
        let mut state = self.state.lock();
        for slot in state.slots.values_mut() {
            slot.file = None;
        }
        state.dir = None;
        if let Some(hook) = state.hook.take() {
            hook.unregister(net);
        }
    }
}

impl Namespace {
    /// The VIP of this address, for as long as the read-side section lasts.
    pub(crate) fn find<'a>(&'a self, vip: Ipv4Addr, guard: &'a rcu::Guard) -> Option<&'a Vip> {
        self.vips.get(u32::from(vip), guard)
    }

    /// Counts a rule in, and makes its VIP if it is the first.
    pub(crate) fn join(
        &self,
        net: &Net,
        this: &RcuArc<Self>,
        request: &Request,
    ) -> Result<RcuArc<Vip>> {
        let key = u32::from(request.vip);
        let mut state = self.state.lock();
        let rules = state.rules.checked_add(1).ok_or(EOVERFLOW)?;
        let vip = match state.slots.get_mut(&key) {
            Some(slot) => slot.share(net, request)?,
            None => self.create(net, this, &mut state, request)?,
        };
        state.rules = rules;
        Ok(vip)
    }

    /// Counts a rule out, and undoes its VIP if it was the last.
    pub(crate) fn leave(&self, net: &Net, vip: Ipv4Addr) {
        let key = u32::from(vip);
        let mut state = self.state.lock();
        let Some(slot) = state.slots.get_mut(&key) else {
            return;
        };
        slot.rules = slot.rules.saturating_sub(1);
        if slot.rules == 0 {
            if let Some(slot) = state.slots.remove(&key) {
                self.undo(net, slot);
            }
        }
        state.rules = state.rules.saturating_sub(1);
        if state.rules == 0 {
            if let Some(hook) = state.hook.take() {
                hook.unregister(net);
            }
        }
    }

    /// Makes a VIP of its first rule. All or nothing: what fails takes back what went before it.
    fn create(
        &self,
        net: &Net,
        this: &RcuArc<Self>,
        state: &mut State,
        request: &Request,
    ) -> Result<RcuArc<Vip>> {
        let (new, device) = request.make_new(net)?;
        let failed = |error| {
            refuse(
                error,
                request.vip,
                format_args!("cannot set up the cluster"),
                format_args!("memory is short, free some and add the rule again"),
            )
        };
        let node = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT).map_err(failed)?;
        let vip = Vip::new(request.vip, new.mac, new.params, new.nodes);
        let vip = RcuArc::pin_init(vip, GFP_KERNEL_ACCOUNT).map_err(failed)?;
        let mut slot = Slot {
            vip: vip.clone(),
            rules: 1,
            device: device.name(),
            membership: None,
            file: None,
            told: false,
        };
        if let Err(error) = self.furnish(net, this, state, &mut slot, &device, request) {
            self.undo(net, slot);
            return Err(failed(error));
        }
        state
            .slots
            .insert(node.into_node(u32::from(request.vip), slot));
        Ok(vip)
    }

    /// Gives a new VIP all that it needs. What was given before a failure stays with the slot.
    fn furnish(
        &self,
        net: &Net,
        this: &RcuArc<Self>,
        state: &mut State,
        slot: &mut Slot,
        device: &NetDevice,
        request: &Request,
    ) -> Result {
        let membership = Membership::join(device, slot.vip.mac.octets())?;
        slot.vip.bind(Some(&membership));
        slot.membership = Some(membership);

        // The debug form of an address is its dotted quad.
        let name = CString::try_from_fmt(fmt!("{:?}", request.vip))?;
        let dir = state.dir.as_mut().ok_or(ENOENT)?;
        slot.file = Some(dir.create(net, &name, procfs::MODE, slot.vip.clone())?);

        let new_hook = match state.hook {
            Some(_) => None,
            None => Some(Hook::register(
                net,
                arp::FAMILY,
                arp::PRIORITY,
                this.clone(),
                GFP_KERNEL_ACCOUNT,
            )?),
        };
        // Last, since from now on ARP finds it.
        let inserted = self.vips.insert(u32::from(request.vip), slot.vip.clone());
        match (new_hook, inserted) {
            (Some(hook), Err(error)) => {
                hook.unregister(net);
                Err(error)
            }
            (Some(hook), Ok(())) => {
                state.hook = Some(hook);
                Ok(())
            }
            (None, inserted) => inserted,
        }
    }

    /// Takes back all that a VIP was given. ARP may still see it for a grace period, in which it
    /// stays.
    fn undo(&self, net: &Net, slot: Slot) {
        drop(self.vips.remove(u32::from(slot.vip.address)));
        drop(slot.file);
        if let Some(membership) = slot.membership {
            membership.leave_in(net);
        }
    }
}

impl Slot {
    /// Counts one more rule of a VIP that is there.
    fn share(&mut self, net: &Net, request: &Request) -> Result<RcuArc<Vip>> {
        request.joins(net, &self.vip)?;
        if !self.told && request.differs(&self.vip, &self.device) {
            self.told = request.tell_what_is_in_force(&self.vip, &self.device);
        }
        self.rules = self.rules.checked_add(1).ok_or(EOVERFLOW)?;
        Ok(self.vip.clone())
    }

    /// Follows the name that the VIP was made with, from device to device.
    fn device_event(&mut self, dev: &NetDevice, event: Event) {
        let here = self.vip.ifindex() == Some(dev.ifindex());
        let wanted = event != Event::Unregister && dev.name() == self.device;
        if here && !wanted {
            self.vip.bind(None);
            if let Some(membership) = self.membership.take() {
                membership.leave(dev);
            }
        } else if wanted && self.membership.is_none() {
            match Membership::join(dev, self.vip.mac.octets()) {
                Ok(membership) => {
                    self.vip.bind(Some(&membership));
                    self.membership = Some(membership);
                }
                Err(_) => {
                    tell(
                        self.vip.address,
                        format_args!(
                            "interface {} cannot take the cluster's MAC",
                            Shown(&self.device)
                        ),
                        format_args!("give its name to a device with addresses of 6 bytes"),
                    );
                }
            }
        }
    }
}

/// Hears of devices that come, go, and get other names.
pub(crate) struct DeviceEvents;

impl Listener for DeviceEvents {
    fn event(net: &Net, dev: &NetDevice, event: Event) {
        let Some(namespace) = Namespace::slot().get(net) else {
            return;
        };
        for slot in namespace.state.lock().slots.values_mut() {
            slot.device_event(dev, event);
        }
    }
}
