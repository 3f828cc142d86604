// SPDX-License-Identifier: GPL-2.0-only

//! Which device each VIP of a namespace is on: the one that has the name which the VIP was made with,
//! whichever device that is at the time.
//!
//! The lock here is taken by device events, under RTNL; so nothing under it takes RTNL, nor waits for
//! anybody who might: above all not for the readers and writers of a VIP's file.

#![forbid(unsafe_code)]

use crate::abstractions::net::netdev::Event;
use crate::abstractions::net::netdev::Listener;
use crate::abstractions::net::netdev::Membership;
use crate::abstractions::net::netdev::Name;
use crate::abstractions::net::netdev::NetDevice;
use crate::abstractions::net::pernet::PerNet;
use crate::abstractions::net::Net;
use crate::abstractions::rcu::RcuArc;
use crate::registry::Namespace;
use crate::report::tell;
use crate::request::Request;
use crate::request::Shown;
use crate::vip::Vip;
use core::net::Ipv4Addr;
use kernel::new_mutex;
use kernel::prelude::*;
use kernel::rbtree::RBTree;
use kernel::rbtree::RBTreeNodeReservation;
use kernel::sync::Mutex;

/// A VIP, the name that it follows, and what it has of the device of that name, if there is one.
struct Binding {
    vip: RcuArc<Vip>,
    device: Name,
    membership: Option<Membership>,
}

/// The VIPs of a namespace and their devices.
#[pin_data]
pub(crate) struct Devices {
    #[pin]
    bindings: Mutex<RBTree<u32, Binding>>,
}

impl Devices {
    /// No VIP yet.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            bindings <- new_mutex!(RBTree::new()),
        })
    }

    /// Makes a new VIP of its first rule and puts it on its device, in one step: a device that goes or
    /// gets another name meanwhile is heard of afterwards (D17).
    pub(crate) fn make(&self, net: &Net, request: &Request) -> Result<RcuArc<Vip>> {
        let failed = |error| request.cannot_make(error);
        let new = request.new_vip()?;
        let node = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT).map_err(failed)?;
        let vip = Vip::new(request.vip, new.mac, new.params, new.nodes);
        let vip = RcuArc::pin_init(vip, GFP_KERNEL_ACCOUNT).map_err(failed)?;

        let mut bindings = self.bindings.lock();
        let (device, name) = request.device_for_new(net)?;
        let membership = Membership::join(&device, new.mac.octets()).map_err(failed)?;
        vip.bind(Some(&membership));
        let binding = Binding {
            vip: vip.clone(),
            device: name,
            membership: Some(membership),
        };
        bindings.insert(node.into_node(u32::from(request.vip), binding));
        Ok(vip)
    }

    /// Takes a VIP off its device, and forgets it.
    pub(crate) fn forget(&self, net: &Net, vip: Ipv4Addr) {
        // Held to the end, so that the device can't be another one by the time it is left.
        let mut bindings = self.bindings.lock();
        let binding = bindings.remove(&u32::from(vip));
        if let Some(membership) = binding.and_then(|binding| binding.membership) {
            membership.leave_in(net);
        }
    }

    /// The name of the VIP's device.
    pub(crate) fn name_for(&self, vip: Ipv4Addr) -> Option<Name> {
        let bindings = self.bindings.lock();
        bindings.get(&u32::from(vip)).map(|binding| binding.device)
    }

    fn event(&self, dev: &NetDevice, event: Event) {
        for binding in self.bindings.lock().values_mut() {
            binding.event(dev, event);
        }
    }
}

impl Binding {
    fn event(&mut self, dev: &NetDevice, event: Event) {
        let here = self.vip.ifindex() == Some(dev.ifindex());
        let wanted = event != Event::Unregister && dev.name() == self.device;
        // A device of another type than before may have lost the membership, or may never have had one.
        if here && (!wanted || event == Event::Retype) {
            self.vip.bind(None);
            if let Some(membership) = self.membership.take() {
                membership.leave(dev);
            }
        }
        if wanted && self.membership.is_none() {
            match Membership::join(dev, self.vip.mac.octets()) {
                Ok(membership) => {
                    self.vip.bind(Some(&membership));
                    self.membership = Some(membership);
                }
                Err(error) => self.not_taken(error),
            }
        }
    }

    /// Says that the device of the VIP's name is not the VIP's. Nobody is there to be told by an error.
    fn not_taken(&self, error: Error) {
        let name = Shown(&self.device);
        let remedy = if error == ENOMEM {
            "free memory, then give the device another name and this one again"
        } else {
            "a shared MAC needs a device with addresses of 6 bytes"
        };
        tell(
            self.vip.address,
            format_args!("interface {name} is not taken"),
            format_args!("{remedy}"),
        );
    }
}

/// Hears of devices that come, go, and get other names.
pub(crate) struct DeviceEvents;

impl Listener for DeviceEvents {
    fn event(net: &Net, dev: &NetDevice, event: Event) {
        if let Some(namespace) = Namespace::slot().get(net) {
            namespace.devices.event(dev, event);
        }
    }
}
