// SPDX-License-Identifier: GPL-2.0-only

//! What a rule asks for; as much of it as the registry looks at.

use crate::abstractions::net::netdev::Name;
use crate::abstractions::net::netdev::NetDeviceRef;
use crate::abstractions::net::Net;
use crate::cluster::arp::Mac;
use crate::cluster::hash::Mode;
use crate::cluster::hash::Params;
use crate::cluster::node::NodeId;
use crate::cluster::node::NodeSet;
use crate::cluster::node::Total;
use crate::vip::Vip;
use kernel::prelude::*;
use std::net::Ipv4Addr;

pub(crate) struct Request {
    pub(crate) vip: Ipv4Addr,
    new: NewVip,
    device: Name,
}

pub(crate) struct NewVip {
    pub(crate) mac: Mac,
    pub(crate) params: Params,
    pub(crate) nodes: NodeSet,
    pub(crate) marks: bool,
}

pub(crate) struct Shown<'a>(pub(crate) &'a Name);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Request {
    /// A `--new` rule of so many nodes, the first of them local.
    pub(crate) fn new(vip: Ipv4Addr, device: Name, total: u32) -> Self {
        let first = NodeId::new(1).expect("a node");
        Self {
            vip,
            new: NewVip {
                mac: Mac::new([1, 0, 0x5e, 0, 0, vip.octets()[3]]),
                params: Params {
                    mode: Mode::SourceIp,
                    seed: 0,
                    total: Total::new(total).expect("a total"),
                },
                nodes: NodeSet::EMPTY.with(first),
                marks: true,
            },
            device,
        }
    }

    pub(crate) fn cannot_make(&self, error: Error) -> Error {
        error
    }

    pub(crate) fn new_vip(&self) -> Result<&NewVip> {
        Ok(&self.new)
    }

    pub(crate) fn device_name_for_new(&self, _: &Net) -> Result<Name> {
        Ok(self.device)
    }

    pub(crate) fn device_for_new(&self, net: &Net, name: &Name) -> Result<NetDeviceRef> {
        NetDeviceRef::by_name(net, name).ok_or(ENOENT)
    }

    pub(crate) fn joins(&self, _: &Net, vip: &Vip) -> Result {
        if vip.mac == self.new.mac {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }

    pub(crate) fn differs(&self, vip: &Vip) -> bool {
        self.device != vip.device
    }

    pub(crate) fn tell_what_is_in_force(&self, _: &Vip) -> bool {
        true
    }
}
