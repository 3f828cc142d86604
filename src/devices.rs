// SPDX-License-Identifier: GPL-2.0-only

//! The VIPs of a namespace, each on its device: the one that has the name which the VIP was made with,
//! whichever device that is at the time.
//!
//! The lock here is taken by device events, under RTNL; so nothing under it takes RTNL, nor waits for
//! anybody who might: above all not for the readers and writers of a VIP's file.

#![forbid(unsafe_code)]

use crate::abstractions::net::netdev::Event;
use crate::abstractions::net::netdev::Listener;
use crate::abstractions::net::netdev::NetDevice;
use crate::abstractions::net::netdev::NetDeviceRef;
use crate::abstractions::net::pernet::PerNet;
use crate::abstractions::net::Net;
use crate::abstractions::rcu::RcuArc;
use crate::abstractions::rcu::RcuMap;
use crate::registry::Namespace;
use crate::report::tell;
use crate::request::Request;
use crate::request::Shown;
use crate::vip::Vip;
use core::net::Ipv4Addr;
use kernel::new_mutex;
use kernel::prelude::*;
use kernel::sync::atomic::ordering::Relaxed;
use kernel::sync::atomic::Atomic;
use kernel::sync::rcu;
use kernel::sync::Mutex;

/// The VIPs of a namespace.
///
/// Only the namespace's own lock lets anybody add one or take one away.
#[pin_data]
pub(crate) struct Vips {
    /// By their distance from `base`.
    #[pin]
    map: RcuMap<Vip>,
    /// The address of the first VIP, which is set while there is none. VIPs are neighbours mostly, and a map
    /// is the smaller and the quicker the smaller its keys are.
    base: Atomic<u32>,
    /// Whoever puts a VIP on a device, or on none, holds this.
    #[pin]
    lock: Mutex<()>,
}

impl Vips {
    /// No VIP yet.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            map <- RcuMap::new(),
            base: Atomic::new(0),
            lock <- new_mutex!(()),
        })
    }

    /// What leads to a VIP in the map.
    fn key(&self, vip: Ipv4Addr) -> u32 {
        self.base.load(Relaxed) ^ u32::from(vip)
    }

    /// The VIP of this address, for as long as the read-side section lasts.
    pub(crate) fn find<'a>(&'a self, vip: Ipv4Addr, guard: &'a rcu::Guard) -> Option<&'a Vip> {
        let found = self.map.get(self.key(vip), guard);
        // The base may have become another one meanwhile, and the key another VIP's.
        found.filter(|found| found.address == vip)
    }

    /// A reference to the VIP of this address.
    pub(crate) fn get(&self, vip: Ipv4Addr) -> Option<RcuArc<Vip>> {
        let found = self.map.get_owned(self.key(vip));
        // As above.
        found.filter(|found| found.address == vip)
    }

    /// The first place not below `from` that has a VIP; in no order that means anything.
    pub(crate) fn place_from(&self, from: u32) -> Option<u32> {
        self.map.keys_from(from).next()
    }

    /// The VIP at a place, if it is still there.
    pub(crate) fn at(&self, place: u32) -> Option<RcuArc<Vip>> {
        self.map.get_owned(place)
    }

    /// Makes a new VIP of its first rule and puts it on its device.
    pub(crate) fn make(&self, net: &Net, request: &Request) -> Result<RcuArc<Vip>> {
        let failed = |error| request.cannot_make(error);
        let new = request.new_vip()?;
        let name = request.device_name_for_new(net)?;
        let vip = Vip::new(request.vip, new, name);
        let vip = RcuArc::pin_init(vip, GFP_KERNEL_ACCOUNT).map_err(failed)?;
        if self.map.is_empty() {
            self.base.store(u32::from(vip.address), Relaxed);
        }
        // Before the lock, which must not wait for memory, and before it is on a device: so that a device
        // that goes or gets another name from here on is heard of (D17).
        self.map
            .insert(self.key(vip.address), vip.clone())
            .map_err(failed)?;
        match self.place(net, request, &vip) {
            Ok(()) => Ok(vip),
            Err(error) => {
                self.forget(net, vip.address);
                Err(error)
            }
        }
    }

    fn place(&self, net: &Net, request: &Request, vip: &Vip) -> Result {
        let _lock = self.lock.lock();
        let device = request.device_for_new(net, &vip.device)?;
        // An event may have been quicker.
        if vip.ifindex().is_none() {
            device
                .join_group(vip.mac.octets())
                .map_err(|error| request.cannot_make(error))?;
            vip.bind(Some(&device));
        }
        Ok(())
    }

    /// Takes a VIP off its device, and forgets it. ARP may still see it for a grace period, in which it
    /// stays.
    pub(crate) fn forget(&self, net: &Net, vip: Ipv4Addr) {
        // Held to the end, so that the device can't be another one by the time it is left.
        let _lock = self.lock.lock();
        if let Some(vip) = self.map.remove(self.key(vip)) {
            if let Some(device) = vip.ifindex().and_then(|i| NetDeviceRef::by_index(net, i)) {
                device.leave_group(vip.mac.octets());
            }
        }
    }

    /// Forgets all of them.
    pub(crate) fn forget_all(&self, net: &Net) {
        for key in self.map.keys() {
            self.forget(net, Ipv4Addr::from(key ^ self.base.load(Relaxed)));
        }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    fn event(&self, net: &Net, dev: &NetDevice, event: Event) {
        let _lock = self.lock.lock();
        for vip in self.map.keys().filter_map(|key| self.map.get_owned(key)) {
            vip.event(net, dev, event);
        }
    }
}

impl Vip {
    fn event(&self, net: &Net, dev: &NetDevice, event: Event) {
        let here = self.ifindex() == Some(dev.ifindex()) && !dev.is_ghost_in(net);
        // Of another type, a device may lose its memberships, or compare them by another length: it is left before, and
        // joined again afterwards, as IGMP does it.
        let goes = matches!(event, Event::Unregister | Event::BeforeRetype);
        let wanted = !goes && dev.name() == self.device;
        if here && !wanted {
            self.bind(None);
            dev.leave_group(self.mac.octets());
        }
        if wanted && self.ifindex().is_none() {
            match dev.join_group(self.mac.octets()) {
                Ok(()) => self.bind(Some(dev)),
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
            self.address,
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
            namespace.vips.event(net, dev, event);
        }
    }
}
