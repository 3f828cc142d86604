// SPDX-License-Identifier: GPL-2.0-only

//! What a rule asks for, and whether that can make a VIP or join one.

#![forbid(unsafe_code)]

use crate::abstractions::net::netdev::Name;
use crate::abstractions::net::netdev::NetDeviceRef;
use crate::abstractions::net::route;
use crate::abstractions::net::Net;
use crate::abstractions::netfilter::target::InDevice;
use crate::cluster::arp::Mac;
use crate::cluster::hash::Params;
use crate::cluster::node::NodeSet;
use crate::report::refuse;
use crate::report::tell;
use crate::vip::Vip;
use core::fmt;
use core::net::Ipv4Addr;
use kernel::prelude::*;

/// What a rule asks for, once it is seen to be one.
pub(crate) struct Request {
    /// The address.
    pub(crate) vip: Ipv4Addr,
    /// What the VIP is to be like, when the rule may make it (`--new`).
    pub(crate) new: Option<NewVip>,
    /// `-i`.
    pub(crate) device: InDevice,
}

/// What a `--new` rule says of the VIP.
pub(crate) struct NewVip {
    /// `--clustermac`.
    pub(crate) mac: Mac,
    /// `--hashmode`, `--hash-init`, `--total-nodes`.
    pub(crate) params: Params,
    /// `--local-node`, `--local-nodes`.
    pub(crate) nodes: NodeSet,
    /// Not `--no-mark`.
    pub(crate) marks: bool,
}

impl Request {
    fn refuse(
        &self,
        errno: Error,
        sentence: fmt::Arguments<'_>,
        remedy: fmt::Arguments<'_>,
    ) -> Error {
        refuse(errno, self.vip, sentence, remedy)
    }

    /// Says that something failed which is no fault of the rule's.
    pub(crate) fn cannot_make(&self, error: Error) -> Error {
        self.refuse(
            error,
            format_args!("cannot set up the cluster: {error:?}"),
            format_args!(
                "nothing is left of it, {}add the rule again",
                if error == ENOMEM {
                    "free memory and "
                } else {
                    ""
                }
            ),
        )
    }

    /// What a new VIP is to be like, or why none can be made of this rule.
    pub(crate) fn new_vip(&self) -> Result<&NewVip> {
        let new = self.new.as_ref().ok_or_else(|| {
            self.refuse(
                EINVAL,
                format_args!("no config found for {:?}, need 'new'", self.vip),
                format_args!("this is its first rule, give --new and all options with it"),
            )
        })?;
        if !new.mac.is_multicast() {
            return Err(self.refuse(
                EINVAL,
                format_args!("MAC {} is not multicast", new.mac),
                format_args!("give --clustermac an odd first byte, like 01:00:5E:00:01:20"),
            ));
        }
        Ok(new)
    }

    /// The name of the device that a new VIP goes on, or why there is none.
    pub(crate) fn device_name_for_new(&self, net: &Net) -> Result<Name> {
        let name = self.device.name;
        if self.device.inverted {
            return Err(self.refuse(
                EINVAL,
                format_args!("Please specify an interface name"),
                format_args!("a new VIP needs one device, use -i DEVICE without !"),
            ));
        }
        if self.device.wildcard {
            // As for the original, which looked up what iptables wrote, `eth+`.
            return Err(self.refuse(
                ENOENT,
                format_args!("no such interface {}", Shown(&name)),
                format_args!("a new VIP needs one device, give -i its whole name"),
            ));
        }
        if self.device.compared_in_part {
            return Err(self.refuse(
                EINVAL,
                format_args!("interface {} is compared in part only", Shown(&name)),
                format_args!("a new VIP needs one device, compare its whole name"),
            ));
        }
        if !name.is_empty() {
            return Ok(name);
        }
        route::device_for(net, self.vip).ok_or_else(|| {
            self.refuse(
                EINVAL,
                format_args!("Please specify an interface name"),
                format_args!(
                    "no device has the address and no route without a gateway leads to it, \
                     add the address first or give -i DEVICE"
                ),
            )
        })
    }

    /// The device of this name for a new VIP, or why it is none.
    pub(crate) fn device_for_new(&self, net: &Net, name: &Name) -> Result<NetDeviceRef> {
        let device = NetDeviceRef::by_name(net, name).ok_or_else(|| {
            self.refuse(
                ENOENT,
                format_args!("no such interface {}", Shown(name)),
                format_args!("see `ip link` for the devices of this network namespace"),
            )
        })?;
        if device.name() != *name {
            return Err(self.refuse(
                EINVAL,
                format_args!("{} is an alternative name", Shown(name)),
                format_args!(
                    "rules match a device's own name only, use -i {}",
                    Shown(&device.name())
                ),
            ));
        }
        if !device.has_mac() {
            return Err(self.refuse(
                EINVAL,
                format_args!("interface {} has no Ethernet address", Shown(name)),
                format_args!("a shared MAC needs a device with addresses of 6 bytes"),
            ));
        }
        Ok(device)
    }

    /// Whether the rule can join `vip`, which is there already.
    ///
    /// Only the MAC has to agree, and only if the rule names one (D5). Other parameters are taken
    /// and are not in force.
    pub(crate) fn joins(&self, net: &Net, vip: &Vip) -> Result {
        if let Some(new) = self.new.as_ref().filter(|new| new.mac != vip.mac) {
            return Err(self.refuse(
                EINVAL,
                format_args!("clustermac {} differs", new.mac),
                format_args!(
                    "the cluster has {}, use that one or remove all of the VIP's rules first",
                    vip.mac
                ),
            ));
        }
        let named = &self.device;
        if !named.name.is_empty() && !named.inverted && !named.wildcard && !named.compared_in_part {
            let device = NetDeviceRef::by_name(net, &named.name).map(|device| device.name());
            if let Some(name) = device.filter(|name| *name != named.name) {
                tell(
                    self.vip,
                    format_args!("{} is an alternative name", Shown(&named.name)),
                    format_args!("this rule matches nothing, use -i {}", Shown(&name)),
                );
            }
        }
        Ok(())
    }

    /// Whether the rule says something that is not in force (D6).
    pub(crate) fn differs(&self, vip: &Vip) -> bool {
        let named = &self.device.name;
        let other_device = !named.is_empty() && *named != vip.device;
        self.new.as_ref().is_some_and(|new| {
            new.params != vip.hash.params() || new.marks != vip.marks || other_device
        })
    }

    /// Says what is in force. `false` when it could not be said now.
    pub(crate) fn tell_what_is_in_force(&self, vip: &Vip) -> bool {
        let params = vip.hash.params();
        tell(
            self.vip,
            format_args!("a further --new rule changes nothing"),
            format_args!(
                "in force are --total-nodes {} --hashmode {} --hash-init {} -i {}{}, \
                 remove all of the VIP's rules first to change them",
                params.total,
                params.mode.name(),
                params.seed,
                Shown(&vip.device),
                if vip.marks { "" } else { " --no-mark" }
            ),
        )
    }
}

/// Brings the kernel's way of printing, which escapes, to core's, which everything here is put
/// together with.
pub(crate) struct Shown<'a>(pub(crate) &'a Name);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        kernel::fmt::Display::fmt(self.0, f)
    }
}
